/** Tests that lines shown earlier do not disturb streamed text, and that untrusted text does nothing to a terminal. */
import { expect, test } from 'vitest';
import type { LogFile } from '../../../trainer/cli/show/log-file.ts';
import { openTerminal } from '../../../trainer/cli/show/terminal.ts';

const ESCAPE = String.fromCharCode(27);
const log: LogFile = { path: 'log', append: () => undefined };

/** Records everything that is written to one terminal, in order. */
function oneTerminal(color = false) {
  const written: string[] = [];
  const write = (text: string): boolean => {
    written.push(text);
    return true;
  };
  // The bar uses only this part of a terminal.
  const stream = { isTTY: true, columns: 80, write } as unknown as NodeJS.WriteStream;
  return { written, terminal: openTerminal({ json: false, verbose: false, color, log, stdout: stream, stderr: stream }) };
}

test('the progress bar is removed before the first text, without removing any of the text', () => {
  const { written, terminal } = oneTerminal();
  terminal.progress.update({ type: 'progress', phase: 'load', done: 10, total: 10, unit: 'tensors' });
  for (const chunk of ['Yes', ', it is.', '\n']) terminal.stream(chunk);
  terminal.progress.end();
  terminal.finish({ ok: true });
  const first = written.indexOf('Yes');
  expect(written.slice(first)).toEqual(['Yes', ', it is.', '\n']);
  const before = written.slice(0, first).join('');
  // Line wrapping and the cursor are restored, and the line of the bar is empty.
  for (const mode of ['?7', '?25'])
    expect(before.lastIndexOf(`${ESCAPE}[${mode}h`)).toBeGreaterThan(before.lastIndexOf(`${ESCAPE}[${mode}l`));
  expect(before.endsWith(`${ESCAPE}[2K`)).toBe(true);
});

test('control characters in names and answers do not reach the terminal', () => {
  const [clear, title] = [`${ESCAPE}[2J`, `${ESCAPE}]0;x${String.fromCharCode(7)}`];
  const { written, terminal } = oneTerminal();
  terminal.say('error', `there is no model at '${clear}'`);
  terminal.print(`a\tb\r\n${title}${ESCAPE}[31mred`);
  terminal.stream(clear);
  const text = written.join('');
  expect(text).toContain("error: there is no model at '·[2J'\na\tb\r\n·]0;x··[31mred\n");
  expect(text.endsWith('·[2J')).toBe(true);
});

test('colors of ours are kept', () => {
  const { written, terminal } = oneTerminal(true);
  terminal.print(`${ESCAPE}[32m⟦a⟧${ESCAPE}[39m${ESCAPE}[2J`);
  expect(written).toContain(`${ESCAPE}[32m⟦a⟧${ESCAPE}[39m·[2J\n`);
});
