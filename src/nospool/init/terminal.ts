/** Questions on the terminal, and their answers. Knows no question. */
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { echo } from '../../process/stderr.ts';
import { lineOf } from '../../smtp/line.ts';
import { ENDING_SIGNALS } from '../../submit/interrupts.ts';

/** Asks a person. The answer is null once the input has ended. */
export interface Questioner {
  readonly ask: (question: string) => Promise<string | null>;
  /** Does not show what is typed. */
  readonly askSecret: (question: string) => Promise<string | null>;
  readonly close: () => void;
}

/** Lines that come before their question answer it, and are not shown, because one may be the password. */
export function openQuestioner(): Questioner {
  let isShown = false;
  /** The question of a secret that is being typed. The others are drawn by readline. */
  let hidden = '';
  const output = new Writable({
    write(chunk, _encoding, done) {
      if (isShown) echo(chunk);
      done();
    },
  });
  const lines = createInterface({ input: process.stdin, output, terminal: true, historySize: 0 });
  const early: string[] = [];
  let answered: ((line: string | null) => void) | null = null;
  let isOver = false;
  lines.on('line', (line) => {
    isShown = false;
    if (answered === null) early.push(line);
    else answered(line);
    answered = null;
  });
  // After Ctrl-Z and fg it is paused, and with nothing left to wait for the process would end without a word.
  lines.on('SIGCONT', () => {
    echo(hidden);
    lines.resume();
  });
  lines.once('close', () => {
    isOver = true;
    answered?.(null);
  });
  // The runtimes restore the terminal for SIGINT and SIGTERM only.
  for (const name of [...ENDING_SIGNALS, 'SIGHUP'] as NodeJS.Signals[])
    process.once(name, () => {
      lines.close();
      process.kill(process.pid, name);
    });
  const next = (question: string, isSecret: boolean): Promise<string | null> => {
    const typed = early.shift();
    if (typed !== undefined || isOver) {
      echo(`${lineOf(question)}${isSecret ? '' : lineOf(typed ?? '')}\n`);
      return Promise.resolve(typed ?? null);
    }
    hidden = isSecret ? lineOf(question) : '';
    echo(hidden);
    isShown = !isSecret;
    lines.setPrompt(isSecret ? '' : lineOf(question));
    lines.prompt(true);
    return new Promise((resolve) => {
      answered = (line) => {
        // After Ctrl-C the cursor stands behind the question.
        if (isSecret || line === null) echo('\n');
        resolve(line);
      };
    });
  };
  return { ask: (question) => next(question, false), askSecret: (question) => next(question, true), close: () => lines.close() };
}
