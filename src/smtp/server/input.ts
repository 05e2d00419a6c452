/**
 * One client's visit, from octets to actions: cuts the octets that arrive into lines, content and chunks for the machine of
 * `machine.ts`, and holds back those that came too early. Knows no socket, no clock.
 */

import { LONGEST_COMMAND_HEARD } from '../limits.ts';
import type { Reply } from '../reply.ts';
import { latin1 } from '../text.ts';
import { type ContentReader, makeContentReader, makeContentSkipper, type Search } from './content.ts';
import { greet, type Receiving, receive, type ServerAction, type ServerEvent, type ServerState } from './machine.ts';
import { parseCommand } from './parse.ts';

/** The driver does these, in order. */
export type Performed =
  | Exclude<ServerAction, { do: 'readContent' | 'readChunk' }>
  /** Octets of the content, a view into the octets that arrived. */
  | { readonly do: 'content'; readonly octets: Uint8Array }
  /** A line that the client said, for a transcript, with its secrets masked. */
  | { readonly do: 'heard'; readonly line: string };

/** One session of a server, between octets and its owner's decisions. */
export interface Reception {
  /** Greets the client; `secured` is true where TLS came first. */
  begin(secured: boolean): void;
  /** Takes octets, in pieces of any size; they have to stay as they are until `mayRead` is true again. */
  hear(chunk: Uint8Array): void;
  /** Takes the owner's verdict on the last question; null is yes. */
  answer(reply: Reply | null, each?: readonly Reply[]): void;
  /** Takes the end of the client's octets; those that are held back still get their answers. */
  end(): void;
  /** Takes what happened besides: 'secured' is the end of STARTTLS's handshake. */
  tell(what: 'secured' | 'lost' | 'timeout' | 'closing'): void;
  /** False while more octets would only be held back, so that the driver stops reading. */
  readonly mayRead: boolean;
  readonly state: ServerState;
}

const LF = 10;

/** With `search` the reception only looks for the end of the content, and hands none of it on. */
export function makeReception(settings: Receiving, perform: (action: Performed) => void, search: Search | null = null): Reception {
  let state: ServerState = { at: 'closed' };
  const events: ServerEvent[] = [];
  const chunks: Uint8Array[] = [];
  /** Reading goes on here in the first chunk. */
  let from = 0;
  let text = '';
  let isLong = false;
  /** The last command was AUTH. */
  let isBehindAuth = false;
  let content: ContentReader = makeContentReader();
  let handed = 0;
  let left = 0;
  let isKept = false;
  let isOver = false;
  let isRunning = false;

  function act(action: ServerAction): void {
    switch (action.do) {
      case 'readContent':
        content = search ? makeContentSkipper(search) : makeContentReader();
        handed = 0;
        return;
      case 'readChunk':
        left = action.octets;
        isKept = action.keep && search === null;
        return;
      case 'startTls':
        // RFC 3207 §6: nobody may hear after the handshake what the client said in the clear behind STARTTLS.
        chunks.length = 0;
        from = 0;
    }
    perform(action);
  }

  function step([next, ...actions]: readonly [ServerState, ...ServerAction[]]): void {
    state = next;
    for (const action of actions) act(action);
  }

  /** Reads up to the end of a line, puts events into the inbox, and returns where reading goes on in the chunk. */
  function readLine(chunk: Uint8Array): number {
    const end = chunk.indexOf(LF, from);
    if (!isLong) text += latin1(chunk.subarray(from, end < 0 ? chunk.length : end));
    if (text.length > LONGEST_COMMAND_HEARD) {
      isLong = true;
      text = '';
    }
    if (end < 0) return chunk.length;
    const isBare = !text.endsWith('\r');
    const line = isBare ? text : text.slice(0, -1);
    const fault = isLong ? 'long' : isBare ? 'bare' : 'none';
    perform({ do: 'heard', line: isLong ? '(a line too long to show)' : mask(line) });
    text = '';
    isLong = false;
    events.push({ type: 'line', line, fault });
    return end + 1;
  }

  /** Masks the responses of AUTH, also one in the command itself, and those that came along with an AUTH that was refused. */
  function mask(line: string): string {
    if (state.at === 'auth' || (isBehindAuth && parseCommand(line).verb === 'unknown')) return '****';
    isBehindAuth = /^\s*AUTH\b/i.test(line);
    return line.replace(/^(\s*AUTH\s+\S+\s+).+/i, '$1****');
  }

  function readData(chunk: Uint8Array): number {
    const behind = content.read(chunk, from, (octets) => {
      handed += octets.length;
      if (handed <= settings.sizeLimit) perform({ do: 'content', octets });
    });
    if (behind < 0) return chunk.length;
    perform({ do: 'heard', line: '.' });
    events.push({ type: 'contentEnd', facts: content.facts() });
    return behind;
  }

  function readOctets(chunk: Uint8Array): number {
    const end = Math.min(from + left, chunk.length);
    left -= end - from;
    if (isKept) perform({ do: 'content', octets: chunk.subarray(from, end) });
    if (left === 0) events.push({ type: 'chunkEnd' });
    return end;
  }

  /** Reads from the first chunk as the state asks; false when nothing can be read. */
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

  /** Empties the inbox. An answer that the owner gives inside an action waits there until the action is done. */
  function run(): void {
    if (isRunning) return;
    isRunning = true;
    try {
      for (;;) {
        const event = events.shift();
        if (event) step(receive(settings, state, event));
        else if (!read()) break;
      }
      if (isOver && state.at !== 'judging') step(receive(settings, state, { type: 'lost' }));
    } finally {
      isRunning = false;
    }
  }

  function push(event: ServerEvent): void {
    events.push(event);
    run();
  }

  return {
    begin(secured) {
      isRunning = true;
      step(greet(secured));
      isRunning = false;
      run();
    },
    hear(chunk) {
      // RFC 3207 §6: nobody hears clear text while TLS is being set up.
      if (chunk.length === 0 || state.at === 'closed' || state.at === 'securing') return;
      chunks.push(chunk);
      run();
    },
    answer: (reply, each = []) => push({ type: 'verdict', reply, each }),
    end() {
      isOver = true;
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
