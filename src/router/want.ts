/** The questions that routing asks of the world outside, and the answers, as plain data. Knows no router. */
import type { AliasEntry } from './aliases.ts';

/** A question of routing. Each is asked once; a step asks several at once. */
export type Want =
  /** The entries of these keys (lower case, without quotes) in an alias file. */
  | { readonly kind: 'aliases'; readonly file: string; readonly keys: readonly string[] }
  /**
   * The text of an included list. `by` is the list that includes it, as error texts name it, because who may own the one
   * depends on the other.
   */
  | { readonly kind: 'include'; readonly file: string; readonly by: string }
  /** The text of a user's `~/.forward`. */
  | { readonly kind: 'forward'; readonly user: string };

/** Why there is no answer: the file does not exist, or a sentence that says what went wrong. */
export type Unread = { readonly kind: 'missing' } | { readonly kind: 'unreadable'; readonly detail: string };

/** The answer to one want: the want itself, and what was read. Keys that are not in `entries` are not in the file. */
export type Answer =
  | (Extract<Want, { kind: 'aliases' }> & { readonly got: Unread | { readonly kind: 'entries'; readonly entries: readonly AliasEntry[] } })
  | (Extract<Want, { kind: 'include' }> & { readonly got: Unread | ReadList })
  | (Extract<Want, { kind: 'forward' }> & { readonly got: Unread | ReadList });

/** A list that was read. */
export interface ReadList {
  readonly kind: 'text';
  /** The path for error texts. */
  readonly file: string;
  readonly text: string;
  /** True if its words may not be shown, because the file belongs to somebody else than the user who asks. */
  readonly isPrivate?: boolean;
}
