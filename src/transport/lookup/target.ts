/** What a smart host leads to: names, and the addresses of each. */
import type { Link } from '../../router/smarthost.ts';

/** A name or address of a smart host, with the port to use. */
export interface Target {
  /** The name that is looked up. Unless server_name says otherwise, the certificate must be for it. */
  readonly name: string;
  readonly port: number;
  /** True for a unix socket, whose path is `name`. */
  readonly unix: boolean;
  /** True when the name came from DNS (MX, SRV), which anybody on the way may have written. */
  readonly fromDns: boolean;
  /** The name was written with the dot of the root. So is every name from DNS. */
  readonly isAbsolute?: boolean | undefined;
  /** undefined: DIRECT. */
  readonly link?: Link;
}

/** One address to connect to. */
export interface Endpoint {
  readonly address: string;
  /** 'name': `address` is a name or an address that a proxy, or a program's own way, leads to. */
  readonly family: 4 | 6 | 'unix' | 'name';
  readonly port: number;
}

/** A look-up that found nothing, and the code of node:dns, where that is why. */
export interface Unfound {
  readonly ok: false;
  readonly detail: string;
  readonly systemCode?: string | undefined;
}

export type Found<T> = { readonly ok: true; readonly value: T } | Unfound;
