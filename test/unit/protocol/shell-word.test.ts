/** Paths in commands that are shown to be copied. */
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { shellWord } from '../../../trainer/protocol/text/shell-word.ts';

test('a shell reads the word as it was, and usual paths have no quotes', () => {
  for (const plain of ['runs/spam-2', '/data/läufe/日本', 'a_b.c', 'C:/x']) expect(shellWord(plain)).toBe(plain);
  const odd = ['my runs/a', "it's", '$HOME `x` "y" \\', '~/a', 'a;b&c', '', '*'];
  const read = execFileSync('sh', ['-c', `printf '%s\\n' ${odd.map(shellWord).join(' ')}`], { encoding: 'utf8' });
  expect(read).toBe(odd.map(text => `${text}\n`).join(''));
});
