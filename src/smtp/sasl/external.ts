/** EXTERNAL: the server knows us by a layer below SMTP, mostly by our TLS certificate. RFC 4422 appendix A */

import { utf8 } from '../text.ts';
import { endExchange, type Mechanism } from './sasl.ts';

/** `user` is the identity to act as; '' leaves it to the server to derive it from the certificate. */
export function external(user: string): Mechanism {
  return { name: 'EXTERNAL', begin: () => ({ say: utf8(user), mayEnd: true, hear: endExchange }) };
}
