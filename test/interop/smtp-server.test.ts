import { matrix } from './support/matrix.ts';
import { suiteWith } from './support/needs.ts';
import { startSmtpServer } from './support/smtp-server.ts';

const test = suiteWith('nodemailer smtp-server', 'smtp-server');

// It has no answer to DATA but 354.
matrix(test, { start: startSmtpServer, mechanisms: ['PLAIN', 'LOGIN', 'CRAM-MD5'], large: 64, accepts: ['atdata'] });

test.run();
