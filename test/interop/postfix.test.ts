import { matrix } from './support/matrix.ts';
import { suiteWith } from './support/needs.ts';
import { startPostfix } from './support/postfix.ts';

const test = suiteWith('Postfix with Dovecot SASL', 'root', 'unshare', 'postfix', 'dovecot-core');

matrix(test, { start: startPostfix, mechanisms: ['PLAIN', 'LOGIN', 'CRAM-MD5', 'SCRAM-SHA-1', 'SCRAM-SHA-256'], large: 64 });

test.run();
