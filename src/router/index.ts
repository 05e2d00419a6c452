/**
 * The door of the router: it leads from the addresses of a message to its final recipients and the one route that all of them
 * share, or says why there is none. Pure: it asks its caller for the text of alias files and lists. Knows no file, no DNS, no clock.
 */

/** Paths and values, as `nospool/smtp` has them. */
export type { Parsed } from '../smtp/parsed.ts';
export {
  type ForwardPath,
  type Mailbox,
  mailboxKey,
  parseMailbox,
  parseReversePath,
  printMailbox,
  printPath,
  type ReversePath,
} from '../smtp/path.ts';
/** `agree` returns the one route of all recipients; `compareRoutes` names the first field in which two routes differ. */
export { agree, compareRoutes, type Difference, type RoutedTo } from './agree.ts';
/**
 * Alias files, read as octet strings that are cut anywhere: `makeAliasReader` visits every entry, `searchAliases` finds the entries of some
 * keys in one pass, `foldKey` makes the key of a local-part.
 */
export {
  type AliasEntry,
  type AliasReader,
  type AliasSearch,
  type AliasVisitor,
  foldKey,
  LONGEST_ENTRY,
  makeAliasReader,
  searchAliases,
} from './aliases.ts';
/** What routing has been told so far, as a router of the caller's own sees it. */
export type { Found, RoutingData } from './data.ts';
/** `withDefaults` makes the list of routers that a configuration means: aliases first, then smart hosts. */
export { type RouterConfig, withDefaults } from './defaults.ts';
/** `isLoopback` decides by the way an address is written; `isWrittenAsLoopback` does so for a smart host and its proxy. */
export { isLoopback, isWrittenAsLoopback } from './loopback.ts';
/** Sentences for people about what cannot be routed. */
export { printProblem, printProblems } from './problem.ts';
/** `parseRedirection` reads the list that an alias, an included file or a `~/.forward` has instead of an address. */
export { parseRedirection, printPlace, type Redirection, type RedirectionItem, type RedirectionTarget } from './redirection.ts';
/** `startRouting` takes the first step for all recipients of a message; `prepareRouting` for recipients that become known one after another. */
export { prepareRouting, type RoutingAnswer, type RoutingDone, type RoutingQuestion, type RoutingRules, startRouting } from './resolve.ts';
/** Routers, routes, and what the routers answered for each address. */
export type {
  HeaderChanges,
  ManualrouteDefinition,
  Preconditions,
  RedirectDefinition,
  Route,
  RoutedRecipient,
  RouteField,
  RouteResult,
  Router,
  RouterDefinition,
  RouterFacts,
  RoutingNode,
  RoutingProblem,
  RoutingStep,
} from './route.ts';
/** What a smart host is: `parseSmarthost` reads its address from a URL, `printSmarthost` prints it without a secret. */
export {
  type Address,
  type AuthPolicy,
  DEFAULT_TLS,
  DIRECT,
  isLmtp,
  type Link,
  PORTS,
  type ProxyPolicy,
  parseSmarthost,
  printSmarthost,
  type Scheme,
  type Secret,
  type Smarthost,
  type TlsPolicy,
} from './smarthost.ts';
/** The questions that routing asks, and their answers. */
export type { Answer, ReadList, Unread, Want } from './want.ts';
