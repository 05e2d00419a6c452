/**
 * Loaded before the command, it counts every call of a run that can fail, and lets the one whose number is TORTURE fail as the system
 * would. What was called stands in the file TORTURE_LOG afterwards, a line each. Counts from where the command reads its program,
 * because what Node does before that is Node's. Knows no mail.
 */
'use strict';
const fs = require('node:fs');
const net = require('node:net');
const tls = require('node:tls');
const dns = require('node:dns');
const os = require('node:os');
const crypto = require('node:crypto');
const child = require('node:child_process');
const { getSystemErrorMap } = require('node:util');

const wanted = Number(process.env.TORTURE ?? 0);
const report = process.env.TORTURE_LOG;
// The command and what it starts see neither.
delete process.env.TORTURE;
delete process.env.TORTURE_LOG;
delete process.env.NODE_OPTIONS;

const { openSync, writeSync, closeSync } = fs;
const { setTimeout: later } = globalThis;
const calls = [];
/** Descriptors that the command has opened and not closed. */
const open = new Map();
let isArmed = false;

const numbers = new Map([...getSystemErrorMap()].map(([errno, [code, words]]) => [code, { errno, words }]));

/** An error as Node makes it of one of the system. */
function systemError(code, syscall, path) {
  const { errno, words } = numbers.get(code) ?? { errno: -5, words: 'i/o error' };
  const error = new Error(`${code}: ${words}, ${syscall}${typeof path === 'string' ? ` '${path}'` : ''}`);
  return Object.assign(error, { errno, code, syscall, ...(typeof path === 'string' ? { path } : {}) });
}

/** Counts a call; true when it is the one that fails. */
function fails(name, about) {
  if (!isArmed) return false;
  calls.push(`${name} ${typeof about === 'string' || typeof about === 'number' ? about : ''}`.trim().replaceAll('\n', ' ').slice(0, 120));
  return calls.length === wanted;
}

const replace = (object, name, make) => {
  const before = object[name];
  if (typeof before !== 'function') return;
  // Whatever hangs on it, such as realpathSync.native or promisify's own, stays.
  object[name] = Object.assign(make(before), before);
};

/* ---- files ---- */

const FILES = {
  open: 'EMFILE',
  read: 'EIO',
  readFile: 'EIO',
  write: 'ENOSPC',
  writeFile: 'ENOSPC',
  fstat: 'EIO',
  stat: 'EACCES',
  lstat: 'EACCES',
  readlink: 'EACCES',
  realpath: 'EACCES',
  readdir: 'EACCES',
  access: 'EACCES',
  statfs: 'EIO',
  close: 'EIO',
  mkdir: 'ENOSPC',
  rename: 'EROFS',
  unlink: 'EROFS',
  fsync: 'EIO',
  chmod: 'EPERM',
  fchmod: 'EPERM',
};

for (const [name, code] of Object.entries(FILES)) {
  replace(
    fs,
    `${name}Sync`,
    (before) =>
      function (...args) {
        if (name === 'readFile' && String(args[0]).endsWith('/main.cjs')) isArmed = true;
        if (fails(`${name}Sync`, args[0])) {
          // What cannot be closed is closed all the same.
          if (name === 'close') {
            before.apply(this, args);
            open.delete(args[0]);
          }
          throw systemError(code, name, args[0]);
        }
        const made = before.apply(this, args);
        if (isArmed && name === 'open') open.set(made, args[0]);
        if (name === 'close') open.delete(args[0]);
        return made;
      },
  );
  replace(
    fs,
    name,
    (before) =>
      function (...args) {
        const done = args.findLast((each) => typeof each === 'function');
        if (!fails(name, args[0])) return before.apply(this, args);
        setImmediate(done, systemError(code, name, args[0]));
      },
  );
  replace(
    fs.promises,
    name,
    (before) =>
      async function (...args) {
        if (fails(`promises.${name}`, args[0])) throw systemError(code, name, args[0]);
        const made = await before.apply(this, args);
        if (name === 'open') tortureHandle(made);
        return made;
      },
  );
}
replace(
  fs,
  'existsSync',
  (before) =>
    function (...args) {
      return fails('existsSync', args[0]) ? false : before.apply(this, args);
    },
);

function tortureHandle(handle) {
  for (const [name, code] of Object.entries({
    read: 'EIO',
    stat: 'EIO',
    readFile: 'EIO',
    write: 'ENOSPC',
    writeFile: 'ENOSPC',
    sync: 'EIO',
  }))
    replace(
      handle,
      name,
      (before) =>
        async function (...args) {
          if (fails(`handle.${name}`)) throw systemError(code, name);
          return before.apply(this, args);
        },
    );
}

/* ---- sockets ---- */

replace(
  net.Socket.prototype,
  'connect',
  (before) =>
    function (...args) {
      if (!fails('connect')) return before.apply(this, args);
      setImmediate(() => this.destroy(systemError('ECONNREFUSED', 'connect')));
      return this;
    },
);
replace(
  net.Socket.prototype,
  '_writeGeneric',
  (before) =>
    function (writev, data, encoding, done) {
      if (!fails('socket write')) return before.call(this, writev, data, encoding, done);
      done(systemError('EPIPE', 'write'));
    },
);
replace(
  net.Socket.prototype,
  'push',
  (before) =>
    function (...args) {
      if (!fails('socket read')) return before.apply(this, args);
      this.destroy(systemError('ECONNRESET', 'read'));
      return false;
    },
);
replace(
  tls,
  'connect',
  (before) =>
    function (...args) {
      const socket = before.apply(this, args);
      if (fails('handshake')) setImmediate(() => socket.destroy(systemError('ECONNRESET', 'read')));
      return socket;
    },
);
replace(
  tls,
  'createSecureContext',
  (before) =>
    function (...args) {
      if (fails('createSecureContext'))
        throw Object.assign(new Error('error:07080041:malloc failure'), { code: 'ERR_OSSL_CRYPTO_MALLOC_FAILURE' });
      return before.apply(this, args);
    },
);

/* ---- Bun's own sockets ---- */

const isBun = process.versions.bun !== undefined;

/** Octets that were not taken are wanted again when the socket says so. */
const DRAIN = 5;

/** What a socket is told and asked; `heard`: the functions that hear of it. */
function tortureBunSocket(socket, heard) {
  const write = socket.write;
  socket.write = function (octets) {
    if (!fails('socket write')) return write.call(this, octets);
    if (wanted % 3 === 0) {
      setImmediate(() => breakBunSocket(socket, heard));
      return -1;
    }
    later(() => heard.drain(socket), DRAIN);
    return wanted % 3 === 1 ? 0 : write.call(this, octets.subarray(0, Math.floor(octets.length / 2)));
  };
  const upgrade = socket.upgradeTLS;
  socket.upgradeTLS = function (options) {
    if (fails('upgradeTLS')) throw new Error('error:07080041:bignum:lib:malloc failure');
    const own = options.socket;
    const told = tortureBunHandlers(own);
    told.handshake = (secured, isDone, error) => {
      if (!fails('handshake')) return own.handshake(secured, isDone, error);
      own.handshake(secured, false, systemError('ECONNRESET', 'read'));
    };
    const [raw, secured] = upgrade.call(this, { ...options, socket: told });
    tortureBunSocket(secured, told);
    return [raw, secured];
  };
  return socket;
}

function breakBunSocket(socket, heard) {
  socket.terminate();
  heard.close(socket, systemError('ECONNRESET', 'read'));
}

function tortureBunHandlers(own) {
  let isBroken = false;
  const heard = {
    ...own,
    open(socket) {
      own.open(tortureBunSocket(socket, heard));
    },
    data(socket, octets) {
      if (isBroken) return;
      if (fails('socket read')) breakBunSocket(socket, heard);
      else own.data(socket, octets);
    },
    end(...args) {
      if (!isBroken) own.end(...args);
    },
    close(socket, error) {
      // One that was broken is told once.
      if (!isBroken) own.close(socket, error);
      isBroken = true;
    },
  };
  return heard;
}

if (isBun)
  replace(
    Bun,
    'connect',
    (before) =>
      function (options) {
        if (fails('connect')) return Promise.reject(systemError('ECONNREFUSED', 'connect'));
        return before.call(this, { ...options, socket: tortureBunHandlers(options.socket) });
      },
  );

/* ---- clocks ---- */

// A timer cannot fail, but it may ring too early, and then it was nobody's time.
replace(
  globalThis,
  'setTimeout',
  (before) =>
    function (ring, milliseconds, ...args) {
      if (!fails('setTimeout', milliseconds)) return before.call(this, ring, milliseconds, ...args);
      return before.call(this, ring, 0, ...args);
    },
);

/* ---- names ---- */

for (const name of ['resolve4', 'resolve6', 'resolveMx', 'resolveSrv', 'reverse', 'getHostByName'])
  replace(
    dns.Resolver.prototype,
    name,
    (before) =>
      function (...args) {
        if (!fails(name, args[0])) return before.apply(this, args);
        const error = Object.assign(new Error(`${name} ESERVFAIL ${args[0]}`), { code: 'ESERVFAIL', hostname: args[0] });
        setImmediate(() => args.at(-1)(error));
      },
  );
replace(
  dns,
  'lookup',
  (before) =>
    function (...args) {
      if (!fails('lookup', args[0])) return before.apply(this, args);
      setImmediate(() => args.at(-1)(Object.assign(new Error(`getaddrinfo EAI_AGAIN ${args[0]}`), { code: 'EAI_AGAIN', errno: -3001 })));
    },
);

/* ---- processes and the rest ---- */

replace(
  child,
  'spawn',
  (before) =>
    function (...args) {
      // Some errors of the system are events, and some are thrown.
      if (fails('spawn', args[0])) {
        if (wanted % 2 === 0) throw systemError('ENOMEM', `spawn ${args[0]}`, args[0]);
        return before.call(this, '/nonexistent/program', ...args.slice(1));
      }
      return before.apply(this, args);
    },
);
replace(
  child,
  'spawnSync',
  (before) =>
    function (...args) {
      if (fails('spawnSync', args[0]))
        return {
          status: null,
          signal: null,
          output: null,
          pid: 0,
          stdout: null,
          stderr: null,
          error: systemError('EAGAIN', 'spawnSync', args[0]),
        };
      return before.apply(this, args);
    },
);
for (const name of ['userInfo', 'hostname', 'networkInterfaces'])
  replace(
    os,
    name,
    (before) =>
      function (...args) {
        if (fails(name)) throw systemError('ENOENT', `uv_os_${name}`);
        return before.apply(this, args);
      },
  );
replace(
  process,
  'cwd',
  (before) =>
    function (...args) {
      if (fails('cwd')) throw systemError('ENOENT', 'uv_cwd');
      return before.apply(this, args);
    },
);
for (const name of ['randomBytes', 'randomUUID'])
  replace(
    crypto,
    name,
    (before) =>
      function (...args) {
        if (fails(name)) throw new Error('error:12000090:random number generator::entropy source failure');
        return before.apply(this, args);
      },
  );
for (const name of ['Memory', 'Module', 'Instance']) {
  const Before = WebAssembly[name];
  WebAssembly[name] = (...args) => {
    if (fails(`WebAssembly.${name}`)) throw new RangeError(`WebAssembly.${name}(): Out of memory`);
    return new Before(...args);
  };
  WebAssembly[name].prototype = Before.prototype;
}

process.on('exit', () => {
  if (report === undefined) return;
  const fd = openSync(report, 'w');
  writeSync(fd, [...calls, ...[...open.values()].map((path) => `left open: ${path}`), ''].join('\n'));
  closeSync(fd);
});
