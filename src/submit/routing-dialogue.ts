/**
 * Routes the recipients of a dialogue (`-bs`) one by one, with alias files that are kept for one transaction. Knows no command and no reply.
 */
import { agree, type RoutedTo } from '../router/agree.ts';
import type { RoutingProblem } from '../router/route.ts';
import type { ForwardPath, ReversePath } from '../smtp/path.ts';
import { asciiDomain } from './domain.ts';
import { type Domains, routingFacts } from './envelope.ts';
import { finish, prepare, type RoutingFacts, type RoutingFiles, type RoutingSettings, systemFiles } from './routing.ts';
import type { Settings } from './settings.ts';

/** Routing for a dialogue (`-bs`), where each recipient is answered before the next is known. */
export interface RoutingDialogue {
  /**
   * Routes one more recipient and takes it if it can share the transaction of those before it. The problems say why it cannot;
   * then it counts for nothing. Calls must not overlap.
   */
  add(recipient: ForwardPath): Promise<readonly RoutingProblem[]>;
}

/** As this host routes a message, one recipient at a time. */
export function routingDialogue(config: Settings, domains: Domains, reversePath: ReversePath): RoutingDialogue {
  const dialogue = routeOneByOne(config, routingFacts(domains, reversePath));
  return { add: (path) => dialogue.add(asciiDomain(path)) };
}

/**
 * Routes each recipient as if it were alone, which is how `src/router` routes many. It keeps only one of those that were taken, for
 * the others to agree with, because the message is routed as a whole when its content comes.
 */
export function routeOneByOne(config: RoutingSettings, facts: RoutingFacts): RoutingDialogue {
  const { files = systemFiles(config), reversePath } = facts;
  const start = prepare(config, facts);
  const kept = withTables(files);
  let isFirst = true;
  let first: RoutedTo | null = null;
  return {
    async add(recipient) {
      // The first is often the only one, and for one it is cheaper to pass through a file than to keep it.
      const using = isFirst ? files : kept;
      isFirst = false;
      const { problems, recipients, route } = await finish(start([recipient]), using);
      if (problems.length > 0) return problems;
      const routed = route === null ? [] : recipients.map((each): RoutedTo => ({ recipient: each, route }));
      const agreed = agree(first === null ? routed : [first, ...routed], reversePath);
      if (agreed !== null && 'kind' in agreed) return [agreed];
      first ??= routed[0] ?? null;
      return [];
    },
  };
}

/** Octets of memory for the entries of alias files: enough for some 300,000 of usual length, and as much as the rest of this program takes. */
const TABLES_ROOM = 64 * 1024 * 1024;

/**
 * The same files, with each alias file as it was when it was asked first: read once and kept for one transaction. A file for which
 * there is no room is passed through for each question as ever.
 */
function withTables(files: RoutingFiles): RoutingFiles {
  const known = new Map<string, Awaited<ReturnType<RoutingFiles['table']>>>();
  let room = TABLES_ROOM;
  return {
    ...files,
    async aliases(file, keys) {
      const got = known.get(file) ?? (await files.table(file, room));
      // The fault may be over by the next time.
      if (got.kind === 'unreadable') return got;
      if (got.kind === 'table' && !known.has(file)) room -= got.size;
      known.set(file, got);
      if (got.kind === 'missing') return got;
      if (got.kind === 'too large') return files.aliases(file, keys);
      return { kind: 'entries', entries: keys.flatMap((key) => got.entries.get(key) ?? []) };
    },
  };
}
