/** The tables of what has a folder of its own list those folders. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '..', '..');

test('methods and export formats are listed as their folders are', async () => {
  // Plain Node without types: it runs before anything is installed.
  const { outdatedRegistries } = (await import(pathToFileURL(join(root, 'scripts', 'registries.mjs')).href)) as {
    readonly outdatedRegistries: (root: string) => readonly { readonly file: string }[];
  };
  expect(outdatedRegistries(root).map(({ file }) => `${file}: npm run registries`)).toEqual([]);
});
