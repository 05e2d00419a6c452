import { startExim } from './support/exim.ts';
import { matrix } from './support/matrix.ts';
import { suiteWith } from './support/needs.ts';

const test = suiteWith('Exim', 'root', 'unshare', 'exim4-daemon-heavy');

matrix(test, { start: startExim, mechanisms: ['PLAIN', 'LOGIN', 'CRAM-MD5'], large: 64 });

test.run();
