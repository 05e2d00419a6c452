// Makes the reference: one page for each door of the package, from the types that are published with it. `npm run build`, then
// `node docs/api/make.mjs`. It reads declarations as the compiler prints them, and checks no type.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const root = path.join(here, '../..');

/* ---- reading ---- */

/** Cuts a text into statements, or the body of a type into members: each with the comment before it. */
function cut(text) {
  const pieces = [];
  let doc = '';
  let depth = 0;
  let begin = -1;
  const end = (at) => {
    pieces.push({ doc, text: text.slice(begin, at).trim() });
    doc = '';
    begin = -1;
  };
  for (let i = 0; i < text.length; i++) {
    const letter = text[i];
    if (text.startsWith('/*', i)) {
      const close = text.indexOf('*/', i) + 2;
      // A comment that nothing follows at once, such as the head of a file, is told from that of a statement by the last one before it.
      if (begin < 0) {
        if (doc !== '') pieces.push({ doc, text: '' });
        doc = text.slice(i, close);
      }
      i = close - 1;
    } else if (text.startsWith('//', i)) {
      const line = text.indexOf('\n', i);
      i = line < 0 ? text.length : line;
    } else if (/['"`]/.test(letter)) {
      if (begin < 0) begin = i;
      for (i++; text[i] !== letter; i++) if (text[i] === '\\') i++;
    } else if (/\s/.test(letter)) continue;
    else {
      if (begin < 0 && letter === ';') continue;
      if (begin < 0) begin = i;
      if ('{[('.includes(letter)) depth += 1;
      if ('}])'.includes(letter)) depth -= 1;
      if (depth > 0) continue;
      const isBlock = letter === '}' && /^(export )?(declare )?(abstract )?(interface|class|enum|namespace)\b/.test(text.slice(begin));
      if (letter === ';' || isBlock) end(i + (isBlock ? 1 : 0));
    }
  }
  return pieces;
}

const DECLARATION = /^(?:export )?(?:declare )?(?:abstract )?(interface|class|function|const|type|enum) (\w+)/;

/** Reads one file of declarations: what it declares, what it imports, and what it hands on, by their names. */
function readFile(file) {
  const declared = new Map();
  const imported = new Map();
  const exported = [];
  // However the build has made them, they are four spaces deep here.
  const pieces = cut(readFileSync(file, 'utf8').replace(/^\t+/gm, (tabs) => ' '.repeat(tabs.length * 4)));
  const target = (text) => path.join(path.dirname(file), / from '([^']+)'/.exec(text)[1].replace(/\.js$/, '.d.ts'));
  const names = (text) =>
    (/\{([^}]*)\}/.exec(text)?.[1] ?? '')
      .split(',')
      .map((each) => each.trim().replace(/^type /, ''))
      .filter((each) => each !== '')
      .map((each) => each.split(' as '))
      .map(([name, as = name]) => ({ name, as }));
  for (const { doc, text } of pieces) {
    const [, kind, name] = DECLARATION.exec(text) ?? [];
    if (kind !== undefined) {
      declared.set(name, [...(declared.get(name) ?? []), { kind, name, doc, text, file }]);
      if (text.startsWith('export')) exported.push({ doc: '', names: [{ name, as: name }], from: file });
    } else if (/^import\b.* from '\./s.test(text)) {
      for (const each of names(text)) imported.set(each.as, { name: each.name, from: target(text) });
    } else if (/^export (type )?\{/.test(text) && text.includes(' from ')) {
      exported.push({ doc, names: names(text), from: target(text) });
    } else if (/^export (type )?\{/.test(text)) {
      exported.push({ doc, names: names(text), from: file });
    }
  }
  // The first comment is the file's own when another one follows before anything else, or when it stands above imports and exports.
  const first = pieces[0];
  const head = first !== undefined && (first.text === '' || /^(import|export (type )?\{)/.test(first.text)) ? first.doc : '';
  if (head !== '' && exported[0]?.doc === head) exported[0].doc = '';
  return { head, declared, imported, exported };
}

const files = new Map();
const fileOf = (file) => {
  if (!files.has(file)) files.set(file, readFile(file));
  return files.get(file);
};

/** The declarations of a name as a file sees it; undefined where it is none of ours. */
function find(file, name) {
  const { declared, imported, exported } = fileOf(file);
  if (declared.has(name)) return declared.get(name);
  const wanted = imported.get(name);
  if (wanted !== undefined) return find(wanted.from, wanted.name);
  for (const { names, from } of exported) for (const each of names) if (each.as === name && from !== file) return find(from, each.name);
  return undefined;
}

/** The members of an interface or a class; [] of anything else. */
function membersOf({ kind, text }) {
  if (kind !== 'interface' && kind !== 'class') return [];
  const body = text.slice(text.indexOf('{') + 1, text.lastIndexOf('}'));
  return cut(body)
    .filter((member) => member.text !== '' && member.text !== '#private')
    .map((member) => ({ ...member, name: /^(?:readonly |static |get |set )*(\[[^\]]+\]|#?\w+)/.exec(member.text)?.[1] ?? '' }));
}

/** Writes out `Name['member']`, because a reader who has only the page cannot follow it. */
function writeOut(text, file) {
  return text
    .replace(/\b([A-Z]\w*)\['(\w+)'\]/g, (whole, name, member) => {
      const declaration = find(file, name)?.[0];
      const found = declaration && membersOf(declaration).find((each) => each.name === member);
      const type = found && /^[^:]*: (.*)$/s.exec(found.text)?.[1];
      return type === undefined ? whole : type.replace(/ \| undefined$/, '');
    })
    .replace(/\bNonNullable<((?:\{[^<>]*\})(?: \| \{[^<>]*\})*)>/g, '$1');
}

/* ---- writing ---- */

/** The sentences of a comment, as paragraphs. */
const sentencesOf = (doc) =>
  doc
    .replace(/^\/\*\*?|\*\/$/g, '')
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, '').trim())
    .join('\n')
    .trim()
    // Lines of lists and tables stay.
    .replace(/(?<!\n)\n(?![\n|-])/g, ' ')
    // Outside of code an angle bracket would begin a tag.
    .replace(/`[^`]*`|</g, (found) => (found === '<' ? '\\<' : found));

const firstOf = (sentences) => /^.*?\.(?=\s|$)/s.exec(sentences)?.[0] ?? sentences;

/** Breaks a long union into lines, one for each member. */
function breakUnion(code) {
  const [, head, rest] = /^(type \w+(?:<[^=]*>)? = ?)(.*)$/s.exec(code) ?? [];
  if (head === undefined || code.length < 110 || /[\n{]/.test(rest)) return code;
  return [head.trimEnd(), ...rest.split(' | ').map((member) => `  | ${member}`)].join('\n');
}

/** Declarations as people write them: without `export` and `declare`, two spaces deep. */
const tidy = (text) =>
  breakUnion(
    text
      .replace(/^export /, '')
      .replace(/^declare /, '')
      .replace(/^ {4,}/gm, (spaces) => ' '.repeat(spaces.length / 2))
      .replace(/ +$/gm, ''),
  );

/** The code of a declaration; the comments of its members stand below it. Of a second name for a type the reader wants the type. */
function codeOf(declaration) {
  const [, same] = /^export type \w+ = (\w+)$/.exec(declaration.text) ?? [];
  const [first] = (same === undefined ? undefined : find(declaration.file, same)) ?? [];
  if (first?.kind === 'type') return codeOf({ ...first, text: first.text.replace(same, declaration.name) });
  const members = membersOf(declaration);
  if (members.length === 0) return tidy(writeOut(declaration.text, declaration.file));
  const head = declaration.text.slice(0, declaration.text.indexOf('{') + 1);
  const lines = members.map(({ text }) => `    ${writeOut(text, declaration.file)};`);
  return tidy([head, ...lines, '}'].join('\n'));
}

const KINDS = [
  { title: 'Functions: ', kinds: ['function'] },
  { title: 'Classes: ', kinds: ['class'] },
  { title: 'Constants: ', kinds: ['const', 'enum'] },
  { title: 'Types: ', kinds: ['interface', 'type'] },
];
/** Interfaces and other types stand together; an abstract class is one of them, because a door has no more of it than its type. */
const rankOf = ({ declarations: [{ kind, text }] }) =>
  KINDS.findIndex(({ kinds }) => kinds.includes(/^(?:export )?(?:declare )?abstract /.test(text) ? 'type' : kind));

/** Headings become links as GitHub makes them: a second one of the same letters gets a number. */
function makeAnchors() {
  const taken = new Map();
  return (heading) => {
    const bare = heading
      .toLowerCase()
      .replace(/[^\w -]/g, '')
      .replaceAll(' ', '-');
    const count = taken.get(bare) ?? 0;
    taken.set(bare, count + 1);
    return count === 0 ? bare : `${bare}-${count}`;
  };
}

/**
 * Types that a signature names and this door does not have. Those that nobody can import are shown where they are used; the others are missing
 * at this door.
 */
function foreignTypes(declarations, has) {
  const hidden = [];
  const missing = new Set();
  const all = [...declarations];
  // The list grows while it is walked.
  for (const declaration of all)
    for (const [name] of withoutNotes(codeOf(declaration)).matchAll(/(?<![.'"\w])[A-Z]\w+\b/g)) {
      const found = has(name) ? undefined : find(declaration.file, name);
      if (found === undefined || all.some((each) => each.name === name)) continue;
      if (found[0].text.startsWith('export')) missing.add(name);
      else {
        hidden.push(...found);
        all.push(...found);
      }
    }
  return { hidden, missing: [...missing] };
}

/** Code without comments and texts, whose words are no names. */
const withoutNotes = (code) => code.replace(/\/\*.*?\*\/|'[^'\n]*'/gs, '');

/** The page of one door, and the names that it misses. `others`: names that the main door has, with links to its page. */
function makePage(door, file, others) {
  const { head, exported } = fileOf(file);
  const entries = exported.flatMap(({ doc, names, from }) =>
    names.map(({ name, as }) => ({ name: as, doc, declarations: find(from, name) ?? [] })),
  );
  const anchor = makeAnchors();
  const title = `\`${door}\``;
  anchor(title);
  const sorted = [...entries].sort((a, b) => rankOf(a) - rankOf(b) || (a.name < b.name ? -1 : 1));
  const links = new Map(sorted.map(({ name }) => [name, `[${name}](#${anchor(name)})`]));
  const missing = [];
  const sections = sorted.map(({ name, declarations }) => {
    const { hidden, missing: unnamed } = foreignTypes(declarations, (each) => links.has(each) || others.has(each));
    const code = [...declarations, ...hidden].map(codeOf).join('\n\n');
    const words = new Set(withoutNotes(code).match(/\b[A-Za-z]\w+\b/g));
    const known = new Map([...others, ...links]);
    const uses = [...known.keys()].filter((each) => each !== name && words.has(each) && /^[A-Z]/.test(each)).sort();
    missing.push(...unnamed.map((each) => `${name}: ${each}`));
    const notes = [...declarations, ...hidden].flatMap((each) =>
      membersOf(each).flatMap((member) => (member.doc === '' ? [] : [`- \`${member.name}\`: ${sentencesOf(member.doc)}`])),
    );
    return [
      `## ${name}`,
      ...declarations.map(({ doc }) => sentencesOf(doc)).filter((each) => each !== ''),
      `\`\`\`ts\n${code}\n\`\`\``,
      ...(notes.length > 0 ? [notes.join('\n')] : []),
      ...(uses.length > 0 ? [`See ${uses.map((each) => known.get(each)).join(', ')}.`] : []),
    ].join('\n\n');
  });
  const isGrouped = exported.some(({ doc }) => doc !== '');
  const groups = isGrouped
    ? exported.map(({ doc, names }) => ({ title: '', names: names.map(({ as }) => as), doc }))
    : KINDS.map(({ title }, rank) => ({
        title,
        names: sorted.filter((entry) => rankOf(entry) === rank).map(({ name }) => name),
        doc: '',
      }));
  const list = groups
    .filter(({ names }) => names.length > 0)
    .map(({ title: kind, names, doc }) => {
      const all = names.map((each) => links.get(each)).join(', ');
      return `- ${kind}${all}${doc === '' ? '' : `. ${sentencesOf(doc)}`}`;
    });
  const page = [
    `# ${title}`,
    '<!-- docs/api/make.mjs makes this page from the published types. -->',
    sentencesOf(head),
    list.join('\n'),
    ...sections,
  ].join('\n\n');
  const silent = sorted.filter(({ declarations }) => declarations.every(({ doc }) => doc === '')).map(({ name }) => name);
  return { page: `${page}\n`, missing, silent, links };
}

const PURE = ['./smtp', './smtp/server', './router'];

/**
 * All pages, by the names of their files. `missing`: types that appear at a door and cannot be imported from it; `silent`: names without a
 * comment.
 */
export function makeReference() {
  const { exports } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  const pages = new Map();
  const rows = [];
  const missing = [];
  const silent = [];
  const main = new Map();
  for (const [place, door] of Object.entries(exports)) {
    if (typeof door === 'string') continue;
    const name = path.posix.join('nospool', place);
    const file = `${place === '.' ? 'index' : place.slice(2).replaceAll('/', '-')}.md`;
    const types = path.join(root, door.require.types);
    // The pure doors stand alone; the others are used together with the main one.
    const made = makePage(name, types, place === '.' || PURE.includes(place) ? new Map() : main);
    if (place === '.') for (const [each, link] of made.links) main.set(each, link.replace('(#', '(nospool.md#'));
    pages.set(place === '.' ? 'nospool.md' : file, made.page);
    missing.push(...made.missing.map((each) => `${name}: ${each}`));
    silent.push(...made.silent.map((each) => `${name}: ${each}`));
    rows.push(`| [\`${name}\`](${place === '.' ? 'nospool.md' : file}) | ${firstOf(sentencesOf(fileOf(types).head))} |`);
  }
  const head = [
    '# Reference',
    '<!-- docs/api/make.mjs makes this page from the published types. -->',
    'One page for each door of the package, made from its types. [library.md](../library.md) tells how they are used.',
    ['| door | is |', '|---|---|', ...rows].join('\n'),
  ];
  pages.set('README.md', `${head.join('\n\n')}\n`);
  return { pages, missing, silent };
}

/** The members of a type, or the words of a union, at the door `nospool`, with their comments. */
export function describeType(name) {
  const { exports } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  const [declaration] = find(path.join(root, exports['.'].require.types), name);
  if (declaration.kind === 'type') return [...codeOf(declaration).matchAll(/'([^']+)'/g)].map((match) => ({ name: match[1], doc: '' }));
  return membersOf(declaration).map(({ name: member, doc }) => ({ name: member, doc: sentencesOf(doc) }));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { pages, missing, silent } = makeReference();
  for (const name of readdirSync(here)) if (name.endsWith('.md') && !pages.has(name)) rmSync(path.join(here, name));
  for (const [name, text] of pages) writeFileSync(path.join(here, name), text);
  for (const each of missing) console.error(`without a name: ${each}`);
  for (const each of silent) console.error(`without a comment: ${each}`);
}
