/**
 * A session as its driver sees it: text and events in, actions out. Joins the reply reader to the machine and holds the state.
 * It is pure all the same, so that a transcript can be replayed through it in any pieces. Knows no socket.
 */
import { type Reply, ReplyReader } from '../reply.ts';
import { type Action, advance, begin, type Event, type Plan, type State } from './session.ts';

/** The events that a driver reports. The dialogue reads the replies itself, and knows `rest`. */
export type DriverEvent =
  Exclude<Event, { type: 'reply' | 'malformed' }> extends infer E ? (E extends { readonly rest: string } ? Omit<E, 'rest'> : E) : never;

type Heard = { readonly type: 'reply'; readonly reply: Reply } | { readonly type: 'malformed'; readonly detail: string };

/** One session of a client, between octets and actions: it takes what the driver gives, and returns what the driver must do, in order. */
export class Dialogue {
  readonly #plan: Plan;
  #state: State = { at: 'closed' };
  #reader = new ReplyReader();

  constructor(plan: Plan) {
    this.#plan = plan;
  }

  /** Where the session stands: `STEPS[state.at].within` names the time limit that runs. */
  get state(): State {
    return this.#state;
  }

  /** Begins the session, once, when the connection is open. */
  begin(): readonly Action[] {
    const [state, ...actions] = begin(this.#plan);
    this.#state = state;
    return actions;
  }

  /** Takes octets of the server as an octet string, in pieces of any size; after the end of the session it takes them without effect. */
  receive(text: string): readonly Action[] {
    this.#reader.push(text);
    const actions: Action[] = [];
    while (this.#state.at !== 'closed') {
      const reply = this.#reader.next();
      if (reply === null) {
        // Even a part of a line is out of step where no clear text may come. RFC 3207 §6
        if (this.#state.at === 'handshake' && !this.#reader.idle)
          this.#advance({ type: 'malformed', detail: 'clear text before the TLS handshake' }, actions);
        break;
      }
      this.#advance(reply.ok ? { type: 'reply', reply: reply.value } : { type: 'malformed', detail: reply.detail }, actions);
    }
    return actions;
  }

  /** Takes what happened besides; throws where nobody asked for it, because that is a bug of the driver. */
  on(event: DriverEvent): readonly Action[] {
    const actions: Action[] = [];
    this.#advance(event, actions);
    return actions;
  }

  /** Adds what the driver must do. */
  #advance(event: Heard | DriverEvent, actions: Action[]): void {
    const step = advance(this.#plan, this.#state, this.#withRest(event));
    this.#state = step[0];
    // The loop takes them by place, because a rest pattern walks the step by its iterator, for every reply.
    for (let i = 1; i < step.length; i++) actions.push(step[i] as Action);
  }

  /** The events of every message are made in one shape each, because a copy of what may be anything is slow. */
  #withRest(event: Heard | DriverEvent): Event {
    const { rest } = this.#reader;
    switch (event.type) {
      case 'transaction':
        return event;
      case 'reply':
        return { type: 'reply', reply: event.reply, rest };
      case 'contentSent':
        return { type: 'contentSent', rest, next: event.next };
      default:
        return { ...event, rest } as Event;
    }
  }
}
