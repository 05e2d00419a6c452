/** Finds the texts in a source file, as a person would read them: the strings and the templates. Knows no meaning of them. */

/** What stands in a text for something that differs each time. */
export const BLANK = '…';

/** Makes one blank of several in a row. */
export const joinBlanks = (text: string): string => text.replace(/…+/g, BLANK);

/** The texts of a TypeScript file in order; `${…}` in a template is a blank, and texts within it are texts of their own. */
export function literalsOf(source: string): readonly string[] {
  const found: string[] = [];
  let at = 0;
  /** Reads on to the quote that ends a text. */
  function readText(quote: string): void {
    let text = '';
    for (let next = source[at++]; next !== undefined && next !== quote; next = source[at++]) {
      if (next === '\\') text += source[at++] ?? '';
      else if (quote === '`' && next === '$' && source[at] === '{') {
        at++;
        text += BLANK;
        readCode();
      } else text += next;
    }
    found.push(joinBlanks(text));
  }
  /** Reads on to the brace that ends the code of a template, or to the end. */
  function readCode(): void {
    for (let depth = 0; at < source.length; ) {
      const rest = source.slice(at, at + 2);
      if (rest === '//') at = endOf('\n', 0);
      else if (rest === '/*') at = endOf('*/', 2);
      else if (rest[0] === '/' && mayBeginPattern()) readPattern();
      else {
        const next = source[at++] as string;
        if (next === "'" || next === '"' || next === '`') readText(next);
        else if (next === '{') depth++;
        else if (next === '}' && depth-- === 0) return;
      }
    }
  }
  function endOf(mark: string, length: number): number {
    const end = source.indexOf(mark, at);
    return end < 0 ? source.length : end + length;
  }
  const mayBeginPattern = (): boolean => /(?:[=(,:[!&|?{};]|=>|return)\s*$/.test(source.slice(Math.max(0, at - 40), at));
  function readPattern(): void {
    let isClass = false;
    for (at++; at < source.length; at++) {
      const next = source[at];
      if (next === '\\') at++;
      else if (next === '[') isClass = true;
      else if (next === ']') isClass = false;
      else if (next === '/' && !isClass) break;
    }
    at++;
  }
  readCode();
  return found;
}
