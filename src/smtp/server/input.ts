/**
 * One client's visit, from octets to actions: cuts what arrives into lines, content and chunks for the machine of
 * `machine.ts`, and holds back what came too early. Octets in, actions out; knows no socket, no clock.
 */

import { LONGEST_COMMAND_HEARD } from '../limits.ts';
import type { Reply } from '../reply.ts';
import { latin1 } from '../text.ts';
import { type ContentReader, readContent, type Search, skipContent } from './content.ts';
import { greet, type Receiving, receive, type ServerAction, type ServerEvent, type ServerState } from './machine.ts';

/** What the driver does, in order. */
export type Performed =
  | Exclude<ServerAction, { do: 'readContent' | 'readChunk' }>
  /** Octets of the content, a view into what arrived. */
  | { readonly do: 'content'; readonly octets: Uint8Array }
  /** A line the client said, for a transcript; secrets are masked. */
  | { readonly do: 'heard'; readonly line: string };

export interface Reception {
  /** The client is there; `secured` is true where TLS came first. */
  begin(secured: boolean): void;
  octets(chunk: Uint8Array): void;
  /** The owner's answer to the question asked last; null is yes. */
  verdict(reply: Reply | null, each?: readonly Reply[]): void;
  /** The TLS handshake of STARTTLS is done. */
  secured(): void;
  /** No more octets come; what was held back is still answered. */
  ended(): void;
  tell(what: 'lost' | 'timeout' | 'closing'): void;
  /** False while more octets would only be held back: the driver stops reading. */
  readonly mayRead: boolean;
  readonly state: ServerState;
}

const LF = 10;

/** `search` is given where the content itself is not wanted: it is then looked through for its end and nothing else. */
export function makeReception(settings: Receiving, perform: (action: Performed) => void, search: Search | null = null): Reception {
  let state: ServerState = { at: 'closed' };
  const events: ServerEvent[] = [];
  const chunks: Uint8Array[] = [];
  /** Where in the first chunk reading goes on. */
  let from = 0;
  let text = '';
  let long = false;
  let content: ContentReader = readContent();
  let handed = 0;
  let left = 0;
  let keep = false;
  let over = false;
  let running = false;

  function act(action: ServerAction): void {
    switch (action.do) {
      case 'readContent':
        content = search ? skipContent(search) : readContent();
        handed = 0;
        return;
      case 'readChunk':
        left = action.octets;
        keep = action.keep && search === null;
        return;
      case 'startTls':
      case 'close':
        // RFC 3207 §6: what was said in the clear behind STARTTLS must not be heard after the handshake.
        chunks.length = 0;
        from = 0;
        text = '';
    }
    perform(action);
  }

  function step([next, ...actions]: readonly [ServerState, ...ServerAction[]]): void {
    state = next;
    for (const action of actions) act(action);
  }

  /** The index after what was used of the chunk; events go to the inbox. */
  function readLine(chunk: Uint8Array): number {
    const end = chunk.indexOf(LF, from);
    if (!long) text += latin1(chunk.subarray(from, end < 0 ? chunk.length : end));
    if (text.length > LONGEST_COMMAND_HEARD) {
      long = true;
      text = '';
    }
    if (end < 0) return chunk.length;
    const bare = !text.endsWith('\r');
    const line = bare ? text : text.slice(0, -1);
    const fault = long ? 'long' : bare ? 'bare' : 'none';
    perform({ do: 'heard', line: long ? '(a line too long to show)' : masked(state, line) });
    text = '';
    long = false;
    events.push({ type: 'line', line, fault });
    return end + 1;
  }

  function readData(chunk: Uint8Array): number {
    const end = content.read(chunk, from, (octets) => {
      handed += octets.length;
      if (handed <= settings.sizeLimit) perform({ do: 'content', octets });
    });
    if (end < 0) return chunk.length;
    perform({ do: 'heard', line: '.' });
    events.push({ type: 'contentEnd', facts: content.facts() });
    return end;
  }

  function readOctets(chunk: Uint8Array): number {
    const end = Math.min(from + left, chunk.length);
    left -= end - from;
    if (keep) perform({ do: 'content', octets: chunk.subarray(from, end) });
    if (left === 0) events.push({ type: 'chunkEnd' });
    return end;
  }

  /** Reads what the state wants of the first chunk; false when nothing can be read. */
  function read(): boolean {
    // A chunk of no octets ends without another octet: `BDAT 0 LAST`.
    if (state.at === 'chunk' && left === 0) {
      events.push({ type: 'chunkEnd' });
      return true;
    }
    const chunk = chunks[0];
    if (chunk === undefined || !mayRead()) return false;
    from = state.at === 'data' ? readData(chunk) : state.at === 'chunk' ? readOctets(chunk) : readLine(chunk);
    if (from === chunk.length) {
      chunks.shift();
      from = 0;
    }
    return true;
  }

  const mayRead = (): boolean => state.at === 'command' || state.at === 'auth' || state.at === 'data' || state.at === 'chunk';

  /** One inbox: what the owner answers inside an action waits here until the action is done. */
  function run(): void {
    if (running) return;
    running = true;
    try {
      for (;;) {
        const event = events.shift();
        if (event) step(receive(settings, state, event));
        else if (!read()) break;
      }
      if (over && state.at !== 'judging') step(receive(settings, state, { type: 'lost' }));
    } finally {
      running = false;
    }
  }

  function push(event: ServerEvent): void {
    events.push(event);
    run();
  }

  return {
    begin(secured) {
      running = true;
      step(greet(secured));
      running = false;
      run();
    },
    octets(chunk) {
      // While TLS is being set up, clear text is nobody's: RFC 3207 §6.
      if (chunk.length === 0 || state.at === 'closed' || state.at === 'securing') return;
      chunks.push(chunk);
      run();
    },
    verdict: (reply, each = []) => push({ type: 'verdict', reply, each }),
    secured: () => push({ type: 'secured' }),
    ended() {
      over = true;
      run();
    },
    tell: (what) => push({ type: what }),
    get mayRead() {
      return mayRead();
    },
    get state() {
      return state;
    },
  };
}

/** Responses of AUTH are secrets, also those in the command itself. */
function masked(state: ServerState, line: string): string {
  return state.at === 'auth' ? '****' : line.replace(/^(\s*AUTH\s+\S+\s+).+/i, '$1****');
}
