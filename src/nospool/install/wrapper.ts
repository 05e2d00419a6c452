/**
 * Prints the shell script that `nospool install` writes as /usr/sbin/sendmail. A runtime reads its environment and reserves
 * its memory before our first line runs. So the script removes variables that a caller may have left, opens closed
 * descriptors, chooses flags for restricted processes, and reports what cannot be started. Knows no file system.
 */
import { quoteForShell } from '../../trust/rules.ts';

export interface Wrapping {
  /** The version of nospool. */
  readonly version: string;
  readonly interpreter: string;
  /** sendmail.cjs. */
  readonly command: string;
  readonly isBun: boolean;
  /** The program of memory-test.ts; null = there is none for this machine. */
  readonly memoryTest: string | null;
  /** True if /usr/bin/env takes -S with options in it. */
  readonly hasSplit: boolean;
  /** True for the script that is a file of a package, which has Bun inside where Bun runs it. */
  readonly isPackaged?: boolean;
}

/** This line tells a script of ours from others. */
export const MARK = '# Written by "nospool install"';
/** This line tells the script of a package, which nobody but the package manager replaces or removes. */
export const PACKAGE_MARK = '# Of the package of nospool';

/**
 * Variables that change or end the runtime before our code runs. NODE_CHANNEL_FD names a descriptor that only a child of
 * the caller has; Node's OpenSSL reads OPENSSL_… and the CA variables; Bun's engine takes code and options from the files that the last two name.
 */
export const UNSET = [
  ...['NODE_OPTIONS', 'NODE_EXTRA_CA_CERTS', 'NODE_PATH', 'NODE_TLS_REJECT_UNAUTHORIZED', 'NODE_REDIRECT_WARNINGS'],
  ...['NODE_PENDING_DEPRECATION', 'NODE_DEBUG', 'NODE_DEBUG_NATIVE', 'NODE_V8_COVERAGE', 'NODE_COMPILE_CACHE', 'NODE_ICU_DATA'],
  ...['NODE_CHANNEL_FD', 'NODE_CHANNEL_SERIALIZATION_MODE', 'NODE_UNIQUE_ID', 'NODE_REPL_EXTERNAL_MODULE', 'NODE_USE_ENV_PROXY'],
  ...['NODE_USE_SYSTEM_CA', 'NODE_PRESERVE_SYMLINKS', 'NODE_PRESERVE_SYMLINKS_MAIN', 'WATCH_REPORT_DEPENDENCIES'],
  ...['OPENSSL_CONF', 'OPENSSL_CONF_INCLUDE', 'OPENSSL_MODULES', 'OPENSSL_ENGINES', 'ICU_TIMEZONE_FILES_DIR', 'UV_THREADPOOL_SIZE'],
  ...['BUN_OPTIONS', 'BUN_INSPECT', 'BUN_INSPECT_CONNECT_TO', 'BUN_INSPECT_NOTIFY', 'BUN_INSPECT_PRELOAD', 'BUN_CONFIG_VERBOSE_FETCH'],
  ...['BUN_JSC_functionOverrides', 'BUN_JSC_configFile'],
];

/**
 * Without this flag Node makes its whole list of authorities for the first TLS session, though every session of ours names the
 * certificates that it trusts: Node 20 takes a quarter of a message's time for it. One thread of V8's
 * beside ours takes less memory than four.
 */
export const NODE_FLAGS = ['--use-openssl-ca', '--v8-pool-size=1'];
/** Without these flags Bun would read such files in the caller's folder and in all folders above it. */
export const BUN_FLAGS = ['--no-env-file', '--config=/dev/null', '--tsconfig-override=/dev/null'];
/** Otherwise Bun would keep compiled code in $HOME, which may be another user's, and run it from there. */
export const BUN_ENVIRONMENT = { BUN_RUNTIME_TRANSPILER_CACHE_PATH: '0' };

/**
 * Flags for a Node that may compile nothing at run time, because no memory can be both written and run (systemd's
 * MemoryDenyWriteExecute) or because there is little address space. Node 20 and 22 print a warning unless a flag turns
 * WebAssembly off, too; later ones do not know that flag.
 */
export const flagsWithoutCompiler = (version: string): string[] =>
  /^v2[02]\./.test(version) ? ['--jitless', '--no-expose-wasm'] : ['--jitless'];

/**
 * KiB of address space that a message over TLS needs, with some to spare: with the compiler, and without it by version.
 * With less the runtime does not start, dies later, or hangs.
 */
const WITH_COMPILER = 2_000_000;
const WITHOUT_COMPILER: readonly (readonly [pattern: string, least: number])[] = [
  ['v20.*', 180_000],
  ['v22.*', 180_000],
  ['*', 600_000],
];
const FOR_BUN = 450_000;

/** The script uses only builtins of every POSIX shell, except where mail fails, because there may be no PATH. */
export function printWrapper({ version, interpreter, command, isBun, memoryTest, hasSplit, isPackaged = false }: Wrapping): string {
  const cure = isPackaged ? 'install the package nospool again' : 'run "nospool install" again';
  const runtime = quoteForShell(interpreter);
  const program = quoteForShell(command);
  const notSent = (reason: string): string => `end 'not sent' ${quoteForShell(reason)}`;
  const failed = notSent(`cannot run ${interpreter}`);
  const words = [runtime, ...(isBun ? BUN_FLAGS : NODE_FLAGS), program];
  return [
    hasSplit ? SPLIT : '#!/bin/sh',
    isPackaged ? `${PACKAGE_MARK} ${version}: an upgrade replaces it.` : `${MARK} of nospool ${version}; "nospool uninstall" removes it.`,
    'true 3>&2 || exec 2>/dev/null',
    // In a chroot there may be no /dev/null, so nothing needs it that can do without.
    '{ true 3>&1; } 2>&- || exec >/dev/null',
    foldWords(['unset', ...UNSET, ...(hasSplit ? ['PWD'] : [])]),
    ...(isBun ? Object.entries(BUN_ENVIRONMENT).map(([key, value]) => `export ${key}=${value}`) : [LOCALE]),
    BY_NAME,
    END,
    `[ -x ${runtime} ] || ${notSent(`${interpreter}, which runs nospool, is not there: ${cure}`)}`,
    `[ -r ${program} ] || ${notSent(`${command} is not there: ${cure}`)}`,
    ...(isBun ? [FOLDER] : []),
    `trap ${quoteForShell(failed)} EXIT`,
    '# Without execfail, bash ends on a failed exec and does not run that trap.',
    '[ -z "$BASH_VERSION" ] || shopt -s execfail',
    LIMIT,
    ...(isBun ? [runLimitedBun(words, failed)] : [askMemory(runtime, memoryTest), runRestrictedNode(runtime, program, failed)]),
    `exec ${words.join(' ')} "$@"`,
    failed,
    '',
  ].join('\n');
}

/**
 * A shell in a folder that was removed complains on standard error before it reads its script. With this PWD it does not
 * ask where it is. Where /bin/sh is bash, it takes options from SHELLOPTS: a caller who exports that after `set -u` or `set -x` would end
 * the script or have it traced on standard error.
 */
const SPLIT = '#!/usr/bin/env -S -u SHELLOPTS PWD=/proc/self/cwd /bin/sh';

/** Node 20 dies of a locale whose language has more than eleven letters, or that is very long, before our first line runs. */
const LOCALE = `for name in LC_ALL LC_MESSAGES LANG; do
  eval "value=\\\${$name-}"
  language=\${value%%[_.@-]*}
  [ \${#value} -le 100 ] && [ \${#language} -le 11 ] || unset $name
done`;

/**
 * Bun reads the names of all files in the folder that it starts in, and in those above, which takes a second and a hundred mebibytes
 * where there are a million. So it starts where few are, and sendmail-bun.mjs goes back by the descriptor, which needs no name.
 */
const FOLDER = `unset SENDMAIL_FOLDER
if [ -x . ] && [ -d /proc/self/fd ] && { true 7<.; } 2>/dev/null; then
  exec 7<.
  export SENDMAIL_FOLDER=7
  cd /
  unset PWD OLDPWD
fi`;

const BY_NAME = `case \${0##*/} in
mailq) set -- -bp "$@" ;;
newaliases) set -- -bi "$@" ;;
runq) set -- -q "$@" ;;
rsmtp) set -- -bS "$@" ;;
rmail) set -- -i "$@" ;;
esac`;

const END = `
# end WORD REASON: reports and logs why no message is sent. It reads what the caller still writes, so that the caller does not die of SIGPIPE.
end() {
  trap - EXIT
  printf 'sendmail: %s\\n' "$2" >&2
  {
    log=/var/log/nospool.log
    if [ -f $log ] && [ ! -h $log ] && [ -w $log ]; then
      printf '%s %s: %s\\n' "$(/bin/date -u +%Y-%m-%dT%H:%M:%SZ)" "$1" "$2" >>$log
    else
      for logger in /usr/bin/logger /bin/logger; do
        [ -x $logger ] && $logger -t nospool -p mail.err "$1: $2" </dev/null && break
      done
    fi
    if [ -p /dev/stdin ] || [ -S /dev/stdin ]; then
      exec 3<&0
      /bin/cat <&3 &
    fi
  } >/dev/null 2>&1
  exit 1
}`;

const LIMIT = `
# The limit of address space in KiB, if it cannot be lifted and is too low for a runtime with its compiler.
limit=
if ! ulimit -S -v unlimited 2>&-; then
  limit=$(ulimit -H -v 2>&-)
  case $limit in
  '' | *[!0-9]*) limit= ;;
  *)
    ulimit -S -v $limit
    [ $limit -lt ${WITH_COMPILER} ] || limit=
    ;;
  esac
fi`;

/**
 * Runs the words where `limit` is set. The shell stays, so that it can report a runtime that dies for want of memory, and
 * it passes on the signals that end a delivery.
 */
const runLimited = (name: string, words: readonly string[], failed: string): string => `
  trap - EXIT
  [ $limit -ge $least ] ||
    end 'not sent' "${name} needs $least KiB of address space and has $limit (ulimit -v; Dovecot: vsz_limit)"
  # Threads reserve less with these.
  export MALLOC_ARENA_MAX=1
  ulimit -S -s 2048 2>/dev/null
  child= signal=
  for name in TERM INT QUIT ALRM USR2 XCPU; do
    trap "signal=$name; [ -z \\"\\$child\\" ] || kill -$name \\$child" $name
  done
  trap '' HUP USR1
  { true 3<&0; } 2>/dev/null || exec </dev/null
  exec 3<&0
  ${words.join(' ')} "$@" <&3 3<&- &
  child=$!
  [ -z "$signal" ] || kill -$signal $child
  exec 3<&-
  while
    wait $child
    status=$?
    [ $status -gt 128 ] && kill -0 $child 2>/dev/null
  do :; done
  case $status in
  126 | 127) ${failed} ;;
  esac
  [ $status -le 128 ] ||
    end 'uncertain' "${name} died (status $status) with $limit KiB of address space (ulimit -v): a server may have the message"
  exit $status`;

const runLimitedBun = (words: readonly string[], failed: string): string => `if [ -n "$limit" ]; then
  least=${FOR_BUN}${runLimited('Bun', words, failed)}
fi`;

/** The status of a process that a filter of system calls has ended: 128 and SIGSYS. Only a start shows whether this Node, on this Linux, ends so, too. */
const askMemory = (runtime: string, program: string | null): string => `
# Whether the caller forbids memory that can be written and run, which would end Node at any moment, or a system call of Node 20.
forbidden=${
  program === null
    ? ''
    : `
test=${quoteForShell(program)}
if [ -z "$limit" ] && [ -x "$test" ]; then
  { "$test"; } 2>&-
  case $? in
  1) forbidden=yes ;;
  159)
    { ${runtime} -e 0; } </dev/null >/dev/null 2>&1
    [ $? -ne 159 ] ||
      end 'not sent' 'the caller forbids the system call pkey_alloc, and Node 20 dies of that: add @pkey to SystemCallFilter in the unit that runs it'
    ;;
  esac
fi`
}`;

const runRestrictedNode = (runtime: string, program: string, failed: string): string => `
if [ -n "$limit$forbidden" ]; then
  case $({ ${runtime} --version; } 2>/dev/null) in
${WITHOUT_COMPILER.map(([pattern, least]) => `  ${pattern}) least=${least} flags='${flagsWithoutCompiler(pattern).join(' ')}' ;;\n`).join('')}  esac
  if [ -z "$limit" ]; then
    exec ${[runtime, '$flags', ...NODE_FLAGS, program].join(' ')} "$@"
    ${failed}
  fi${runLimited('Node', [runtime, '$flags', ...NODE_FLAGS, '--v8-pool-size=0', program], failed)}
fi`;

export const foldWords = (words: readonly string[]): string =>
  words
    .join(' ')
    .replace(/(.{1,100})( |$)/g, '$1 \\\n  ')
    .trimEnd()
    .replace(/ \\$/, '');
