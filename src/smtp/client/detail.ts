/**
 * Prints what happened and what the server said, in a sentence for people. Knows the fields of failures only, and stands apart from
 * the machine so that a program that needs no sentences does not carry them.
 */
import { printPath } from '../path.ts';
import { printHeard, printReply, type Reply } from '../reply.ts';
import { printTimeLimit, type TimeLimit } from '../timeout.ts';
import type { SessionFailure, Verdict } from './outcome.ts';

/** Verdicts of LMTP that a sentence quotes; of more nobody reads on. */
const VERDICTS_SHOWN = 5;

/** Prints the detail of a failure with the words of the server. The refusals of a rejection are sentences of their own. */
export function printDetail(failure: Exclude<SessionFailure, { kind: 'rejected' }>): string {
  switch (failure.kind) {
    case 'malformed':
      return joinWords(failure, ': ');
    case 'lost':
      return joinWords(failure, ' after ');
    case 'timeout':
      return printSilence(failure);
    case 'uncertain': {
      const { instead, verdicts = [], due = 0 } = failure;
      const what = instead && instead.kind !== 'rejected' ? printDetail(instead) : failure.detail;
      return what + (verdicts.length === 0 ? '' : printVerdicts(verdicts, due));
    }
    case 'unsupported':
      return failure.reply ? `${failure.detail} (${printReply(failure.reply)})` : failure.detail;
    default:
      return failure.detail;
  }
}

interface Said {
  readonly detail: string;
  readonly reply?: Reply;
  readonly heard?: string;
}

/** The octets behind a reply mostly say why it came. */
function joinWords({ detail, reply, heard }: Said, before: string): string {
  if (reply) return `${detail}: ${printReply(reply)}${heard === undefined ? '' : ` / ${printHeard(heard)}`}`;
  return heard === undefined ? detail : `${detail}${before}"${printHeard(heard)}"`;
}

const printSilence = ({ heard, limit }: { readonly heard?: string; readonly limit?: TimeLimit }): string =>
  heard === undefined ? `no reply came ${printTimeLimit(limit)}` : `no whole reply came ${printTimeLimit(limit)}: "${printHeard(heard)}"`;

/** With LMTP some recipients may have had their verdict already. RFC 2033 §4.2 */
function printVerdicts(verdicts: readonly Verdict[], due: number): string {
  const shown = verdicts.slice(0, VERDICTS_SHOWN).map(({ path, reply }) => `${printPath(path)} ${printReply(reply)}`);
  const more = verdicts.length > VERDICTS_SHOWN ? ` / and ${verdicts.length - VERDICTS_SHOWN} more` : '';
  return `; for ${verdicts.length} of ${due} recipients one came: ${shown.join(' / ')}${more}`;
}
