/**
 * Walks through every state that a setting can come to, breadth first, so that it finds every breach on the shortest way. A key
 * of all their fields tells states apart; the witness alone judges them.
 */

import type { Action, advance as Advance, begin as Begin, Event, State } from '../../../src/smtp/client/session.ts';
import { printReply } from '../../../src/smtp/reply.ts';
import { printAction } from '../../support/transcript.ts';
import { type Moment, PROPERTIES } from './properties.ts';
import { afterAction, afterEvent, atFirst, type Seen } from './witness.ts';
import { bugsAt, eventsAt, LATE, type Setting, told } from './world.ts';

/** The machine, or one that is not right. */
export interface Machine {
  readonly begin: typeof Begin;
  readonly advance: typeof Advance;
}

export interface Explored {
  /** States in which something can still happen. */
  readonly states: number;
  /** Events that the explorer has applied. */
  readonly steps: number;
  /** The property that was broken, and the way there as a transcript; null means none. */
  readonly breach: string | null;
}

interface Node {
  readonly state: State;
  readonly seen: Seen;
  readonly from: Node | null;
  readonly event: Event | null;
  readonly actions: readonly Action[];
}

export function explore(setting: Setting, machine: Machine): Explored {
  const reached = new Set<string>();
  const nodes: Node[] = [];
  let steps = 0;
  const take = (from: Node | null, event: Event | null): string | null => {
    steps++;
    const node = step(setting, machine, from, event);
    if ('breach' in node) return node.breach;
    if (node.seen.isOver) return isShut(node, setting, machine) ? null : tell(setting, node, 'after the end something is done');
    const key = `${keyOf(node.state)}/${keyOf(node.seen)}`;
    if (reached.has(key)) return null;
    reached.add(key);
    nodes.push(node);
    return null;
  };
  // Bugs are thrown by the hundred thousand, and nobody reads where.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  let breach = take(null, null);
  for (let i = 0; i < nodes.length && breach === null; i++) {
    const node = nodes[i] as Node;
    for (const event of eventsAt(node.seen, setting)) breach ??= take(node, event);
    for (const event of bugsAt(node.seen, setting)) breach ??= refuse(setting, machine, node, event);
  }
  Error.stackTraceLimit = stackTraceLimit;
  return { states: nodes.length, steps, breach };
}

/** Events that come when the session is over change nothing. */
const isShut = ({ state }: Node, { plan }: Setting, { advance }: Machine): boolean =>
  LATE.every((event) => advance(plan, state, event).length === 1);

/** Checks that the machine throws, and does not obey, when a driver reports what nobody asked it for. */
function refuse(setting: Setting, { advance }: Machine, from: Node, event: Event): string | null {
  try {
    const [, ...actions] = advance(setting.plan, from.state, event);
    return tell(setting, { from, event, actions }, 'what was not asked for is obeyed');
  } catch (error) {
    return String(error).startsWith('Error: bug: ') ? null : tell(setting, { from, event, actions: [] }, String(error));
  }
}

/** Takes one step of the machine, and holds every property against each of its actions. */
function step(setting: Setting, { begin, advance }: Machine, from: Node | null, event: Event | null): Node | { readonly breach: string } {
  const { plan, recipients, letters } = setting;
  told.last = null;
  let made: ReturnType<typeof advance>;
  try {
    made = from === null || event === null ? begin(plan) : advance(plan, from.state, event);
  } catch (error) {
    return { breach: tell(setting, { from, event, actions: [] }, String(error)) };
  }
  const [state, ...actions] = made;
  const before = from === null ? atFirst(letters.length, plan) : from.seen;
  let seen = event === null ? before : afterEvent(before, event, plan);
  for (let i = 0; i <= actions.length; i++) {
    const action = actions[i] ?? null;
    const moment: Moment = { plan, recipients, event, action, before, seen, told: told.last };
    for (const [name, holds] of PROPERTIES) if (!holds(moment)) return { breach: tell(setting, { from, event, actions }, name) };
    if (action !== null) seen = afterAction(seen, action, plan);
  }
  freeze(state);
  return { state, seen, from, event, actions };
}

/** Makes a machine fail that changes a state which it has given out. */
function freeze(value: object): void {
  if (Object.isFrozen(value)) return;
  Object.freeze(value);
  for (const field of Object.values(value)) if (typeof field === 'object' && field !== null) freeze(field);
}

/* ---- keys ---- */

const numbers = new WeakMap<object, number>();
const known = new Map<string, number>();

/** Makes a key of all fields, however deep: each value within gets a number, the same for the same fields. Values do not change. */
function keyOf(value: object): string {
  let key = '';
  for (const field of value instanceof Map ? [...value].flat() : Object.values(value))
    key += field !== null && (typeof field === 'object' || typeof field === 'function') ? `#${numberOf(field)}\n` : `${field}\n`;
  return key;
}

function numberOf(value: object): number {
  const given = numbers.get(value);
  if (given !== undefined) return given;
  // A function is like no other.
  const key = typeof value === 'function' ? `function ${known.size}` : keyOf(value);
  const number = known.get(key) ?? known.size;
  known.set(key, number);
  numbers.set(value, number);
  return number;
}

/* ---- telling ---- */

function tell({ name }: Setting, last: Pick<Node, 'from' | 'event' | 'actions'>, what: string): string {
  const lines: string[] = [];
  for (let node: typeof last | null = last; node !== null; node = node.from)
    lines.unshift(...(node.event ? [printEvent(node.event)] : []), ...node.actions.flatMap(printAction));
  return `${what}\n${name}\n${lines.map((line) => `  ${line}`).join('\n')}`;
}

function printEvent(event: Event): string {
  const rest = 'rest' in event && event.rest !== '' ? ' …' : '';
  switch (event.type) {
    case 'reply':
      return `S: ${printReply(event.reply)}${rest}`;
    case 'block':
      return `! ${event.last ? 'last' : 'block'} ${event.octets}`;
    case 'contentSent':
      return `! sent${event.next ? ', next' : ''}${rest}`;
    default:
      return `! ${event.type}`;
  }
}
