/**
 * Treats 8-bit content on its way to a server without 8BITMIME: it passes, is converted, or is refused. The modules are loaded when a
 * server makes it necessary, because that is rare. Knows no server.
 */
import type { Source } from '../message/source.ts';
import type { EightBitTreatment } from '../transport/driver.ts';

/** The facts of a whole message that decide how far the conversion looks ahead. */
export interface TreatedContent {
  /** Octets as they were read; null when they are not all known. */
  readonly octets: number | null;
  /** True when all of it is at hand, so that a wrong label can be mended. */
  readonly whole: boolean;
  /** The charset of text without a label; '' = unknown. */
  readonly charset: string;
}

export function treatEightBit(message: Source, treatment: EightBitTreatment, content: TreatedContent): Source {
  if (treatment === 'pass') return message;
  return openLazily(() => (treatment === 'convert' ? openConverting(message, content) : openRefusing(message)), message);
}

async function openConverting(message: Source, { octets, whole, charset }: TreatedContent): Promise<Source> {
  const { CONVERT, toSevenBit } = await import('../message/mime/convert.ts');
  return toSevenBit(message, {
    ...CONVERT,
    lookahead: octets === null ? CONVERT.lookahead : octets + 1,
    mislabelled: whole ? 'convert' : 'fail',
    ...(charset === '' ? {} : { charset }),
  });
}

async function openRefusing(message: Source): Promise<Source> {
  const { refuseEightBit } = await import('../message/mime/convert.ts');
  return refuseEightBit(message);
}

/** What was never opened closes the message itself. */
function openLazily(open: () => Promise<Source>, message: Source): Source {
  let source: Promise<Source> | null = null;
  return {
    async read() {
      source ??= open();
      return (await source).read();
    },
    close: () => (source === null ? message.close() : void source.then((opened) => opened.close())),
  };
}
