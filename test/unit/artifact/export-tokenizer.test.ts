/** Tests the tokenizer of an export: if it exists but cannot be read, the export fails instead of omitting it. */
import { existsSync } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { exportModel } from '../../../trainer/artifact/export-model.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { openFast } from '../../support/engines.ts';
import { temporaryFolder } from '../../support/machine/temporary-folder.ts';
import { tinyAdapter, tinyWithTokenizer } from '../../support/models/tiny-adapter.ts';

test('an unreadable tokenizer ends the export, and nothing is written', async () => {
  const engine = await openFast();
  const base = await tinyWithTokenizer();
  const adapterPath = await tinyAdapter({ engine, method: 'lora', budget: { r: 2 }, base });
  const openBase = async () => {
    const folder = await openModel(base);
    await rename(join(base, 'tokenizer.json'), join(base, 'kept.json'));
    await mkdir(join(base, 'tokenizer.json'));
    return folder;
  };
  const outputDir = join(await temporaryFolder(), 'out');
  await expect(exportModel({ adapterPath, format: 'merged', outputDir, overwrite: false, engine, openBase })).rejects.toThrow(
    'tokenizer.json',
  );
  expect(existsSync(outputDir)).toBe(false);
});
