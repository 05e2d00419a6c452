import { fork } from 'node:child_process';
import { Session } from 'node:inspector/promises';
import { MAIL, MAKERS } from './support/side-by-side.ts';

const child = fork('test/zz-host.mts', { execArgv: ['--import', 'tsx'] });
const port = await new Promise((r) => child.once('message', r));
const session = new Session();
session.connect();
await session.post('Profiler.enable');
const run = async (side: 'nodemailer' | 'nospool', n: number, profile: boolean) => {
  const t = MAKERS[side]({ host: '127.0.0.1', port, pool: true, maxMessages: 1e9, ignoreTLS: true });
  if (profile) await session.post('Profiler.start');
  const c = process.cpuUsage(),
    b = performance.now();
  for (let k = 0; k < n / 500; k++) await Promise.all(Array.from({ length: 500 }, () => t.sendMail({ ...MAIL })));
  const ms = performance.now() - b,
    u = process.cpuUsage(c);
  console.log(side, n, Math.round((n / ms) * 1000), '/s', Math.round((u.user + u.system) / n), 'us cpu each');
  if (profile) {
    const { profile: p } = await session.post('Profiler.stop');
    const self = new Map<string, number>();
    const nodes = new Map(p.nodes.map((x) => [x.id, x]));
    p.samples!.forEach((id, i) => {
      const { callFrame: f } = nodes.get(id)!;
      const key = `${f.functionName || '?'} ${f.url.split('/').slice(-3).join('/')}:${f.lineNumber}`;
      self.set(key, (self.get(key) ?? 0) + p.timeDeltas![i]);
    });
    for (const [k, v] of [...self].sort((a, b2) => b2[1] - a[1]).slice(0, 32))
      console.log(String(Math.round((v / n) * 10) / 10).padStart(7), k);
  }
  await t.close();
};
for (const side of ['nodemailer', 'nospool'] as const) await run(side, 2000, false);
for (const side of ['nodemailer', 'nospool'] as const) await run(side, 3000, true);
child.disconnect();
process.exit();
