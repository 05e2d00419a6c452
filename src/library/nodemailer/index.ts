/** The door of the transport for `nodemailer.createTransport`. */

/** The options of the transport. */
export interface NospoolTransportOptions {
  readonly url: string;
}
