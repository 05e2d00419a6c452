/**
 * Works on the octets of a content: in portable code, and for long content in the kernel, which costs a millisecond and 5 MiB to
 * load. Knows no message.
 */
import { type AddOctets, addOctets } from '../message/octet-sums.ts';
import { type ContentEncoder, contentEncoder, type Framing } from '../smtp/client/content.ts';
import type { Kernel } from '../transport/kernel/kernel.ts';

export class ContentEngine {
  #kernel: Kernel | null = null;
  #encoder: ContentEncoder | null = null;

  /** Where to read input to, so that the kernel need not copy it; null before it is loaded, and where it cannot run. */
  get memory(): Uint8Array | null {
    return this.#kernel?.inputBuffer ?? null;
  }

  /** Octets that the encoder of the last attempt has made; null before the first. */
  get size(): number | null {
    return this.#encoder?.facts.size ?? null;
  }

  readonly addOctets: AddOctets = (octets, before) => (this.#kernel?.addOctets ?? addOctets)(octets, before);

  readonly encoder = (framing: Framing): ContentEncoder => {
    this.#encoder = (this.#kernel ?? contentEncoder)(framing);
    return this.#encoder;
  };

  async loadKernel(): Promise<void> {
    this.#kernel = (await import('../transport/kernel/kernel.ts')).loadKernel();
  }
}
