// A submission by nodemailer: HOST PORT TLS(off|starttls|implicit) AUTH(0|1) CA-FILE FROM TO…, message on standard input.
const path = require('node:path');
const nodemailer = require(require.resolve('nodemailer', { paths: [process.env.BENCH_NODE_MODULES ?? '', path.join(__dirname, '../..')] }));

const [host, port, tls, auth, authority, from, ...to] = process.argv.slice(2);
nodemailer
  .createTransport({
    host,
    port: Number(port),
    secure: tls === 'implicit',
    requireTLS: tls === 'starttls',
    ignoreTLS: tls === 'off',
    ...(tls === 'off' ? {} : { tls: { ca: require('node:fs').readFileSync(authority) } }),
    ...(auth === '1' ? { auth: { user: 'user', pass: 'password' } } : {}),
  })
  .sendMail({ envelope: { from, to }, raw: process.stdin })
  .then(
    () => {},
    (error) => {
      process.stderr.write(`${error.message}\n`);
      process.exitCode = 1;
    },
  );
