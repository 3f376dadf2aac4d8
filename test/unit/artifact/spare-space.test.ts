/** Tests the free space that an export demands beyond what it writes. */
import { expect, test } from 'vitest';
import { spareBytes } from '../../../trainer/artifact/output-folder.ts';
import { whyNotWritable } from '../../../trainer/files/output-place.ts';
import { makeTemporaryFolder } from '../../support/machine/temporary-folder.ts';

test('the spare space follows the size of the export, within bounds', () => {
  expect([0, 313e3, 1e9, 100e9].map(spareBytes)).toEqual([2 ** 22, 2 ** 22, 1e8, 2 ** 27]);
});

test('a folder is writable if its disk has what is needed', async () => {
  const folder = makeTemporaryFolder();
  expect(await whyNotWritable(folder, 0)).toBeUndefined();
  expect(await whyNotWritable(folder, Number.MAX_SAFE_INTEGER)).toMatch(/is full: .* are free, and at least .* are needed$/);
});
