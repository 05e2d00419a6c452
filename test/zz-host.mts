import { startHost } from './support/smarthost.ts';

const host = await startHost({ offers: ['PIPELINING', '8BITMIME', 'SIZE 10000000'] });
process.send?.(host.port);
process.on('disconnect', () => process.exit());
setInterval(() => {}, 1000);
