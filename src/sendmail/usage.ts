/** What --help says, by the table of the options. */
import { listOptions } from './options.ts';

/** Prints --help: the options that act, each once. */
export function printUsage(options = listOptions()): readonly string[] {
  const rows = options
    .filter(({ effect }) => effect === 'acts')
    .map(({ option, value: name, meaning }) => `  ${`${option}${name === '' ? '' : ` ${name}`}`.padEnd(14)}${meaning}`);
  return [
    'usage: sendmail [options] [--] recipient …   (the message on standard input)',
    '       sendmail -t [options] [recipient …]   (recipients from the header section)',
    '',
    ...rows,
    '',
    'Every other option of Sendmail, Postfix and Exim is accepted; see sendmail.nospool(8).',
    'Exit status: 0 the smart host took the message for every recipient; 1 it did not.',
  ];
}
