import { startAiosmtpd } from './support/aiosmtpd.ts';
import { matrix } from './support/matrix.ts';
import { suiteWith } from './support/needs.ts';

const test = suiteWith('aiosmtpd', 'unshare', 'python3-aiosmtpd');

// It takes a second for each 4 MiB.
matrix(test, { start: startAiosmtpd, mechanisms: ['PLAIN', 'LOGIN'], large: 8 });

test.run();
