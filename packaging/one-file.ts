/**
 * The program of the one file: sendmail, mailq or newaliases where it is called by such a name, else nospool. Knows only how it is called.
 */
import '../src/process/runtime.ts';
import { nameGoneFolder } from '../src/nospool/gone-folder.ts';
import { compileLate } from '../src/sendmail/start/late-code.ts';

const called = process.argv0.replace(/^.*\//, '');
// Both find here the name that they were called by; Bun has the name of the file inside.
process.argv[1] = called;
if (/^(?:sendmail|mailq|newaliases|runq|rsmtp|rmail)(?:[.-]|$)/.test(called)) {
  compileLate();
  await import('../src/sendmail/main.ts');
  // The command ends the process: src/sendmail/start/launch-bun.ts says why this waits.
  await new Promise(() => {});
} else {
  nameGoneFolder();
  void import('../src/nospool/main.ts');
}
