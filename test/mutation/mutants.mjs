// Finds the places in a source file where one small fault can be put in: a comparison that says the opposite, a limit that is off by
// one, a line that is missing. Works on what esbuild leaves of the types, because a fault in a type changes nothing. Knows no test.
import { transformSync } from 'esbuild';

/** What a pattern in code becomes. A word of text is a whole literal. */
const CHANGES = [
  [/ === /g, () => ' !== '],
  [/ !== /g, () => ' === '],
  [/ < /g, () => ' <= '],
  [/ <= /g, () => ' < '],
  [/ > /g, () => ' >= '],
  [/ >= /g, () => ' > '],
  [/ && /g, () => ' || '],
  [/ \|\| /g, () => ' && '],
  [/ \+ (?=1\b)/g, () => ' - '],
  [/ - (?=1\b)/g, () => ' + '],
  [/(?<![\w.$#]|void )\d+(?![\w.])/g, (number) => String(Number(number) + 1)],
  [/\btrue\b/g, () => 'false'],
  [/\bfalse\b/g, () => 'true'],
  [/!(?=[\w(])/g, () => ''],
  // A statement that does something.
  [/(?<=^ +)(?:await |void )?(?:this\.|super\.)?[\w.#]+(?:\([^\n]*\)|(?: [+-]?=|\+\+|--)[^\n]*)(?=;$)/gm, () => ''],
];
/** Text that is a word a program decides by; sentences are for people. */
const WORD = /^"[\w.:=-]{0,14}"$/;

/** Where code is, and where literals are: `text`, `regex` and templates are no code. */
function* scan(source) {
  let from = 0;
  for (let at = 0; at < source.length; at++) {
    const mark = source[at];
    const comment = mark === '/' && { '/': '\n', '*': '*/' }[source[at + 1]];
    if (comment) {
      // esbuild leaves those within expressions.
      yield { kind: 'code', from, to: at };
      at = source.indexOf(comment, at) + comment.length - 1;
      from = at + 1;
      continue;
    }
    if (mark !== '"' && mark !== "'" && mark !== '`' && !(mark === '/' && mayBeginRegex(source, at))) continue;
    yield { kind: 'code', from, to: at };
    const begin = at;
    if (mark === '`') at = endOfTemplate(source, at);
    else
      for (let isClass = false, next = at + 1; ; next++) {
        if (next >= source.length) throw new Error(`the ${mark} at ${at} has no end`);
        if (source[next] === '\\') next++;
        else if (mark === '/' && source[next] === '[') isClass = true;
        else if (mark === '/' && source[next] === ']') isClass = false;
        else if (source[next] === mark && !isClass) {
          at = next;
          break;
        }
      }
    yield { kind: mark === '`' || mark === '/' ? 'opaque' : 'text', from: begin, to: at + 1 };
    from = at + 1;
  }
  yield { kind: 'code', from, to: source.length };
}

const mayBeginRegex = (source, at) => /(?:[(,=:[!&|?{};+\n]|\breturn|=>)\s*$/.test(source.slice(Math.max(0, at - 20), at));

function endOfTemplate(source, begin) {
  for (let at = begin + 1, depth = 0; at < source.length; at++) {
    if (source[at] === '\\') at++;
    else if (source.startsWith('${', at)) depth++;
    else if (source[at] === '}' && depth > 0) depth--;
    else if (source[at] === '`' && depth === 0) return at;
    else if (source[at] === '`') at = endOfTemplate(source, at);
  }
  throw new Error(`a template that begins at ${begin} has no end`);
}

/** What a TypeScript source is without its types. */
export const codeOf = (typescript) => transformSync(typescript, { loader: 'ts', target: 'es2022', legalComments: 'none' }).code;

/** Every mutant of a TypeScript source: where in its code, the whole text, and the line as it was and as it is. */
export function mutantsOf(typescript) {
  const code = codeOf(typescript);
  const found = [];
  const add = (from, to, text) => {
    const begin = code.lastIndexOf('\n', from - 1) + 1;
    const end = code.indexOf('\n', to);
    const line = code.slice(begin, end);
    if (/^\s*(?:import|export) .* from /.test(line) || /c8 ignore|bug: |^\s*never\(/.test(line)) return;
    const mutated = code.slice(begin, from) + text + code.slice(to, end);
    found.push({ at: from, before: line.trim(), after: mutated.trim(), text: code.slice(0, from) + text + code.slice(to) });
  };
  for (const { kind, from, to } of scan(code)) {
    const piece = code.slice(from, to);
    if (kind === 'text' && WORD.test(piece)) add(from, to, piece === '""' ? '"mutant"' : '""');
    if (kind === 'code')
      for (const [pattern, make] of CHANGES.slice(0, -1))
        for (const match of piece.matchAll(pattern)) add(from + match.index, from + match.index + match[0].length, make(match[0]));
  }
  // Statements may have text in them.
  const [statement, make] = CHANGES.at(-1);
  for (const match of code.matchAll(statement)) add(match.index, match.index + match[0].length, make());
  // A condition that says the opposite.
  for (const match of code.matchAll(/\b(?:if|while) \(/g)) {
    const begin = match.index + match[0].length;
    let depth = 1;
    let end = begin;
    for (; depth > 0 && end < code.length; end++) depth += code[end] === '(' ? 1 : code[end] === ')' ? -1 : 0;
    if (!code.slice(begin, end).includes('\n')) add(begin, end - 1, `!(${code.slice(begin, end - 1)})`);
  }
  return found;
}
