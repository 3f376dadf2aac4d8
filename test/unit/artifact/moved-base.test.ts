/** Tests an export of an adapter whose base has moved. */
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { exportModel } from '../../../trainer/artifact/export-model.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { openFast } from '../../support/engines.ts';
import { readRecord } from '../../support/files/read-json.ts';
import { temporaryFolder } from '../../support/machine/temporary-folder.ts';
import { TINY_LLAMA, tinyAdapter } from '../../support/models/tiny-adapter.ts';

test('an export with a moved base reads it at its new path and names that path', async () => {
  const [engine, folder] = [await openFast(), await temporaryFolder()];
  const [base, outputDir] = [join(folder, 'moved'), join(folder, 'out')];
  await cp(TINY_LLAMA, base, { recursive: true });
  const adapterPath = await tinyAdapter({ engine, method: 'lora', budget: { r: 2 } });
  const openBase = ({ source }: { readonly source: string }) => openModel(source);
  await exportModel({ adapterPath, base, format: 'peft', outputDir, overwrite: false, engine, openBase });
  expect(readRecord(join(outputDir, 'adapter_config.json'))).toMatchObject({ base_model_name_or_path: base });
});
