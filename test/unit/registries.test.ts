/** Tests that the tables of entries with a folder list those folders. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { outdatedRegistries } from '../../scripts/registries.mjs';

const root = join(import.meta.dirname, '..', '..');

test('methods and export formats are listed as their folders are', () => {
  expect(outdatedRegistries(root).map(({ file }) => `${file}: npm run registries`)).toEqual([]);
});
