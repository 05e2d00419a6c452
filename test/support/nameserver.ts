/**
 * A small name server (RFC 1035) that knows a few records and writes down what it is asked, over UDP and TCP. It is silent,
 * slow, broken or short of room where its zone says so. Knows no client.
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';

const TYPES: Readonly<Record<number, string>> = { 1: 'A', 5: 'CNAME', 15: 'MX', 28: 'AAAA', 33: 'SRV' };

/** RFC 1035 §3.1 */
export const label = (name: string): Buffer =>
  Buffer.concat([
    ...name
      .split('.')
      .filter((part) => part !== '')
      .map((part) => Buffer.from([part.length, ...Buffer.from(part)])),
    Buffer.from([0]),
  ]);

export const a = (address: string): Buffer => Buffer.from(address.split('.').map(Number));
/** Eight groups, none left out. */
export const aaaa = (address: string): Buffer =>
  Buffer.from(address.split(':').flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255]));
export const mx = (preference: number, name: string): Buffer =>
  Buffer.concat([Buffer.from([preference >> 8, preference & 255]), label(name)]);
export function srv(priority: number, weight: number, port: number, name: string): Buffer {
  const head = Buffer.alloc(6);
  head.writeUInt16BE(priority, 0);
  head.writeUInt16BE(weight, 2);
  head.writeUInt16BE(port, 4);
  return Buffer.concat([head, label(name)]);
}

/** Records; an error code (RFC 1035 §4.1.1); null is silence. */
type Plain = readonly Buffer[] | number | null;
/** `truncated`: the records are had over TCP alone. `late`: milliseconds. */
type Answer = Plain | { readonly truncated: readonly Buffer[] } | { readonly late: number; readonly records: readonly Buffer[] };

/** By type and name, such as `A mail.example`; '*' is every other name, which else does not exist. */
export type Zone = Readonly<Record<string, Answer>>;

export interface NameServer {
  readonly port: number;
  /** `A mail.example`, in order; with `TCP ` before it where it came so. */
  readonly asked: string[];
  close(): void;
}

function reply(query: Buffer, found: readonly Buffer[] | number, isTruncated: boolean, end: number): Buffer {
  const records = typeof found === 'number' ? [] : found;
  const head = Buffer.from(query.subarray(0, 12));
  head.writeUInt16BE(0x8180 | (isTruncated ? 0x0200 : 0) | (typeof found === 'number' ? found : 0), 2);
  head.writeUInt16BE(records.length, 6);
  head.writeUInt32BE(0, 8);
  const answers = records.map((data) => {
    const record = Buffer.alloc(12);
    record.writeUInt16BE(0xc00c, 0);
    record.writeUInt16BE(query.readUInt16BE(end - 4), 2);
    record.writeUInt16BE(1, 4);
    record.writeUInt32BE(60, 6);
    record.writeUInt16BE(data.length, 10);
    return Buffer.concat([record, data]);
  });
  return Buffer.concat([head, query.subarray(12, end), ...answers]);
}

/** Listens at the address, on a free port or the one that is given. */
export async function nameServer(zone: Zone, address = '127.0.0.1', port = 0): Promise<NameServer> {
  const asked: string[] = [];
  const names = new Set(Object.keys(zone).map((key) => key.split(' ')[1]));
  function answer(query: Buffer, isTcp: boolean, send: (said: Buffer) => void): void {
    const parts: string[] = [];
    let at = 12;
    for (let length = query[at] as number; length > 0; length = query[at] as number) {
      parts.push(query.subarray(at + 1, at + 1 + length).toString());
      at += 1 + length;
    }
    const name = parts.join('.').toLowerCase();
    const key = `${TYPES[query.readUInt16BE(at + 1)] ?? '?'} ${name}`;
    asked.push(`${isTcp ? 'TCP ' : ''}${key}`);
    // A name that has other records has none of this type; any other does not exist.
    const found = key in zone ? zone[key] : names.has(name) ? [] : '*' in zone ? zone['*'] : 3;
    if (found === null || found === undefined) return;
    const say = (plain: Plain, isTruncated = false): void => {
      if (plain !== null) send(reply(query, plain, isTruncated, at + 5));
    };
    if (typeof found === 'number' || !('truncated' in found || 'late' in found)) say(found);
    else if ('late' in found) setTimeout(() => say(found.records), found.late);
    else say(isTcp ? found.truncated : [], !isTcp);
  }
  const sockets = new Set<Socket>();
  const tcp = createServer((socket) => {
    sockets.add(socket);
    let heard = Buffer.alloc(0);
    socket
      .on('error', () => {})
      .on('data', (octets) => {
        heard = Buffer.concat([heard, octets]);
        // RFC 1035 §4.2.2: each message comes behind its length.
        while (heard.length >= 2 && heard.length >= 2 + heard.readUInt16BE(0)) {
          const end = 2 + heard.readUInt16BE(0);
          answer(heard.subarray(2, end), true, (said) =>
            socket.write(Buffer.concat([Buffer.from([said.length >> 8, said.length & 255]), said])),
          );
          heard = heard.subarray(end);
        }
      });
  });
  const udp = await bindBoth(tcp, address, port);
  udp.on('message', (query, from) => answer(query, false, (said) => udp.send(said, from.port, from.address)));
  return {
    port: udp.address().port,
    asked,
    close() {
      udp.close();
      tcp.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Lets both sockets have one port. A free one of TCP may be taken for UDP, and then another is tried. */
async function bindBoth(tcp: Server, address: string, port: number): Promise<UdpSocket> {
  for (let left = 20; ; left--) {
    await new Promise<void>((resolve, reject) => tcp.once('error', reject).listen(port, address, resolve));
    const udp = createSocket('udp4');
    try {
      await new Promise<void>((resolve, reject) => udp.once('error', reject).bind((tcp.address() as AddressInfo).port, address, resolve));
      return udp;
    } catch (error) {
      udp.close();
      await new Promise((resolve) => tcp.close(resolve));
      if (port !== 0 || left === 0) throw error;
    }
  }
}
