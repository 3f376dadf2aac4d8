/** Tests how problems are printed, how tokens are masked, and which words are similar. */
import { expect, test } from 'vitest';
import { didYouMean } from '../../../trainer/catalog/did-you-mean.ts';
import { formatProblems } from '../../../trainer/protocol/problem.ts';
import { parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';
import { maskTokens } from '../../../trainer/protocol/text/literal-token.ts';

const TOKEN = `hf_${'a1B2'.repeat(8)}`;
const print = (text: string, overrides: string[] = []): string =>
  formatProblems(parseRecipe(text, { overrides }).problems, 'a.rowtune.yaml', text);

test('file, line, column, severity, code, message, then the line and a caret', () => {
  expect(print('model: m\ndata: {train: a}\nmethod: spfst\n', ['sed=1'])).toBe(
    [
      "a.rowtune.yaml:3:9 error not-a-choice 'method' can't be 'spfst'; did you mean 'spsft'? It must be one of 'spsft', 'lora', 'dora', 'rosa', 'shira', 'vera', 'spsft+lora', 'bitfit', 'head', 'full'",
      '  3 | method: spfst',
      '    |         ^^^^^',
      "command line:1 error unknown-key there is no setting 'sed'; did you mean 'seed'?",
      '   | sed=1',
      '   | ^^^',
    ].join('\n'),
  );
});

test('no token and no control character reaches the terminal', () => {
  const printed = print(`model: m\nseed: ${TOKEN}\nname: "\u001b[31m"\n`, [`token=${TOKEN}`]);
  expect(printed).toContain('literal-token');
  expect(printed).not.toContain(TOKEN);
  expect(printed).not.toContain('\u001b');
  expect(maskTokens(TOKEN)).toHaveLength(TOKEN.length);
});

test('a long line is cut around the place, and the caret still points', () => {
  const lines = print(`model: m\ndata: {train: a, labels: [${'x, '.repeat(300)}3]}\n`).split('\n');
  const [, excerpt = '', caret = ''] = lines.slice(lines.findIndex(line => line.includes('wrong-type')));
  expect(excerpt.length).toBeLessThan(140);
  expect(excerpt[caret.indexOf('^')]).toBe('3');
});

test.each([
  ['learning_rat', 'learning_rate'],
  ['Learning-Rate', 'learning_rate'],
  ['sead', 'seed'],
  ['frobnicate', undefined],
  ['q', undefined],
  ['', undefined],
  ['x'.repeat(1000), undefined],
])('the word nearest to %j is %j', (word, near) => {
  expect(didYouMean(word, ['learning_rate', 'seed', 'r'])).toBe(near);
});
