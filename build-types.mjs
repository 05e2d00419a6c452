// Leaves out of the compiler's declarations what no door of the library leads to, so that what is published is what can be named. Knows what
// the compiler writes: a declaration begins at the beginning of a line, and everything within it is indented or closes it.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const WORD = /[A-Za-z_$][\w$]*/g;
const withoutComments = (text) => text.replace(/\/\*[\s\S]*?\*\//g, '');
/** Reads `A, type B as C` as pairs of the name there and the name here. */
const readNames = (list) =>
  list
    .split(',')
    .map((each) => each.trim().replace(/^type /, ''))
    .filter((each) => each !== '')
    .map((each) => each.split(' as '))
    .map(([there, here = there]) => ({ there, here }));

/** Takes a text apart. A comment belongs to the line behind it. */
function readStatements(text) {
  const statements = [];
  let comment = [];
  let isComment = false;
  for (const line of text.trimEnd().split('\n')) {
    isComment ||= line.startsWith('/*');
    if (isComment) {
      comment.push(line);
      isComment = !line.includes('*/');
      continue;
    }
    if (/^[A-Za-z]/.test(line)) statements.push([]);
    statements.at(-1).push(...comment, line);
    comment = [];
  }
  return statements.map((lines) => readStatement(lines.join('\n')));
}

function readStatement(text) {
  const code = withoutComments(text).trim();
  const [, word, list = '', from] = /^(import|export) (?:type )?\{([^}]*)\}(?: from '([^']+)')?;$/.exec(code) ?? [];
  if (word !== undefined) return { kind: word, names: readNames(list), from, text };
  const [, space, source] = /^import (?:type )?\* as ([\w$]+) from '([^']+)';$/.exec(code) ?? [];
  if (space !== undefined) return { kind: 'import', names: [{ there: '*', here: space }], from: source, text };
  const [, isExported, sort, first] =
    /^(export )?(?:declare )?(?:abstract )?(function|const|let|class|interface|type)\s+([\w$]+)/.exec(code) ?? [];
  if (first === undefined) throw new Error(`a declaration that is not understood: ${code.slice(0, 100)}`);
  const names = sort === 'const' ? [...code.matchAll(/(?:^|, |const )([\w$]+)(?=:| =)/g)].map((match) => match[1]) : [first];
  return { kind: 'declaration', names, isExported: isExported !== undefined, code, text };
}

/** Writes to `out` what these files of `made` lead to, which have all they export; the paths of what was written. */
export function writeTypes(made, out, doors) {
  const files = new Map();
  const open = (file) => {
    if (!files.has(file)) files.set(file, { statements: readStatements(readFileSync(path.join(made, file), 'utf8')), used: new Set() });
    return files.get(file);
  };
  const target = (file, from) => path.join(path.dirname(file), from.replace(/\.(?:ts|js)$/, '.d.ts'));
  const isOurs = (from) => from.startsWith('.');

  /** Takes what a file has by this name, and all that it is made of. */
  function need(file, name) {
    const { statements, used } = open(file);
    if (used.has(name)) return;
    used.add(name);
    for (const { kind, names, from, code } of statements)
      if (kind === 'declaration') {
        if (names.includes(name)) needWords(file, code);
      } else
        for (const { there, here } of names)
          if (here === name && from !== undefined && isOurs(from) && there !== '*') need(target(file, from), there);
          else if (here === name && from === undefined && there !== name) need(file, there);
  }

  function needWords(file, code) {
    for (const [, from, name] of code.matchAll(/\bimport\("([^"]+)"\)\.([\w$]+)/g)) if (isOurs(from)) need(target(file, from), name);
    const spaces = open(file).statements.flatMap(({ kind, names, from }) =>
      kind === 'import' ? names.filter(({ there }) => there === '*').map(({ here }) => [here, from]) : [],
    );
    for (const [space, from] of spaces)
      for (const [, name] of code.matchAll(new RegExp(`\\b${space}\\.([\\w$]+)`, 'g'))) if (isOurs(from)) need(target(file, from), name);
    for (const [word] of code.matchAll(WORD)) if (has(file, word)) need(file, word);
  }
  const has = (file, word) =>
    open(file).statements.some(({ kind, names }) =>
      kind === 'declaration' ? names.includes(word) : kind === 'import' && names.some(({ here }) => here === word),
    );

  for (const door of doors)
    for (const { kind, names, isExported } of open(door).statements)
      if (kind === 'export') for (const { here } of names) need(door, here);
      else if (isExported) for (const name of names) need(door, name);

  for (const [file, { statements, used }] of files) {
    const text = statements.flatMap((statement) => printUsed(statement, used, doors.includes(file))).join('\n');
    mkdirSync(path.dirname(path.join(out, file)), { recursive: true });
    // Compilers that are older than ours want files to be named as JavaScript does.
    const indented = text.replace(/^(?: {4})+/gm, (blanks) => '\t'.repeat(blanks.length / 4));
    writeFileSync(path.join(out, file), `${indented}\n`.replace(/(?<=(?: from |\bimport\()['"]\.{1,2}\/[^'"]*)\.ts(?=['"])/g, '.js'));
  }
  return [...files.keys()];
}

function printUsed({ kind, names, from, text }, used, isDoor) {
  if (kind === 'declaration') return names.some((name) => used.has(name)) ? [text] : [];
  const kept = names.filter(({ here }) => used.has(here));
  if (kind === 'export') return isDoor || kept.length > 0 ? [text] : names.length === 0 ? [text] : [];
  if (kept.length === 0) return [];
  if (kept[0].there === '*') return [withoutComments(text).trim()];
  const list = kept.map(({ there, here }) => (there === here ? here : `${there} as ${here}`));
  return [`import type { ${list.join(', ')} } from '${from}';`];
}
