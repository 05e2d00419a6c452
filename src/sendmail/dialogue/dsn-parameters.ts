/** Reads the parameters of MAIL and RCPT that ask for delivery status notifications. Knows no transaction. */
import type { Notify, Recipient } from '../../smtp/client/print.ts';
import type { ForwardPath } from '../../smtp/path.ts';
import { type Parameter, parameterOf } from '../../smtp/server/parse.ts';
import { fromUtf8 } from '../../smtp/text.ts';

/** Reads RET and ENVID. RFC 3461 §4.3 and §4.4 */
export function readMailDsn(parameters: readonly Parameter[]): { readonly ret?: 'FULL' | 'HDRS'; readonly envid?: string } {
  const ret = parameterOf(parameters, 'RET')?.toUpperCase();
  const envid = parameterOf(parameters, 'ENVID');
  return { ...(ret ? { ret: ret as 'FULL' | 'HDRS' } : {}), ...(envid ? { envid: fromXtext(envid) } : {}) };
}

/** Reads NOTIFY, and ORCPT as it stands there, because it goes on so, whatever its type. RFC 3461 §4.1, §4.2 and §5.2.1 */
export function readRecipientDsn(path: ForwardPath, parameters: readonly Parameter[]): Recipient {
  const notify = parameterOf(parameters, 'NOTIFY')?.toUpperCase().split(',') as Notify[] | undefined;
  const original = parameterOf(parameters, 'ORCPT');
  return { path, ...(notify ? { notify } : {}), ...(original ? { original } : {}) };
}

/** Decodes xtext, in which "+HH" is an octet (RFC 3461 §4); the octets are UTF-8. */
function fromXtext(text: string): string {
  const octets = text.replace(/\+([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return fromUtf8(octets) ?? octets;
}
