/** IP addresses as octets and as text. Knows no host. */
import { isIPv4 } from '../smtp/path.ts';
import { octets } from '../smtp/text.ts';

/** Returns an IP address as octets, in the order of the network. */
export function addressOctets(address: string): string {
  if (isIPv4(address)) return String.fromCharCode(...address.split('.').map(Number));
  // The URL parser writes an IPv6 address in one canonical form, without dotted quads.
  const [head = '', tail] = new URL(`http://[${address}]/`).hostname.slice(1, -1).split('::');
  const groupsOf = (text: string) => (text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16)));
  const [before, after] = [groupsOf(head), groupsOf(tail ?? '')];
  const groups = [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after];
  return String.fromCharCode(...groups.flatMap((group) => [group >> 8, group & 255]));
}

/** Prints the octets of an address; they come from a certificate, so there may be any number. */
export function printAddress(octetString: string): string {
  const bytes = [...octets(octetString)];
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.length !== 16) return '(no address)';
  const groups = Array.from({ length: 8 }, (_, i) => (((bytes[2 * i] as number) << 8) | (bytes[2 * i + 1] as number)).toString(16));
  return new URL(`http://[${groups.join(':')}]/`).hostname.slice(1, -1);
}
