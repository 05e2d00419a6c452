/** Prints the tables of docs/protocol.md that are made from the code, as the code has them now. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { printMatrix, printSteps } from './matrix.ts';
import { printStandards } from './standards.ts';

const src = fileURLToPath(new URL('../../src/', import.meta.url));
const sources = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
const { text } = printStandards(sources.map((name) => readFileSync(`${src}${name}`, 'utf8')));
console.log([printSteps(), printMatrix(), text].join('\n\n'));
