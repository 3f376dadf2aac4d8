/** Tests that the lines of a file are the same in blocks of any size, and that a long file or line does not fill the memory. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readLineBlocks } from '../../../trainer/files/read-lines.ts';
import { makeTemporaryFolder } from '../../support/machine/temporary-folder.ts';

const folder = makeTemporaryFolder();

async function linesOf(text: string, maxBytes = 1000, blockBytes = 1000): Promise<readonly string[]> {
  const file = join(folder, 'lines');
  writeFileSync(file, text);
  const found: string[] = [];
  for await (const lines of readLineBlocks(file, maxBytes, blockBytes)) found.push(...lines);
  return found;
}

test.each([7, 8, 11, 16, 1000])('blocks of %i bytes have the same lines', async blockBytes => {
  expect(await linesOf('größe\n\nb\n\ncdefg\nh', 1000, blockBytes)).toEqual(['größe', '', 'b', '', 'cdefg', 'h']);
  expect(await linesOf('a\n', 1000, blockBytes)).toEqual(['a']);
  expect(await linesOf('', 1000, blockBytes)).toEqual([]);
});

test('a line that is longer than a block is left out', async () => {
  expect(await linesOf(`a\n${'x'.repeat(50)}\nb\n`, 1000, 8)).toEqual(['a', 'b']);
  expect(await linesOf(`a\n${'x'.repeat(50)}`, 1000, 8)).toEqual(['a']);
});

test('a file that is too large is refused', async () => {
  await expect(linesOf('abc\n'.repeat(10), 39)).rejects.toMatchObject({ code: 'file-too-large' });
  expect(await linesOf('abc\n'.repeat(10), 40)).toHaveLength(10);
});
