/** Tests exports to GGUF of a model that reads images: the language model, its encoder in a second file, and both as bases. */
import { readFileSync, writeFileSync } from 'node:fs';
import { cp, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import type { ExportResult } from '../../../trainer/artifact/export-model.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { causalModel } from '../../../trainer/model/load-model.ts';
import type { WorkerEvent } from '../../../trainer/protocol/messages/job-messages.ts';
import { openFast } from '../../support/engines.ts';
import { encoderFileOf, expectVerified, exportGguf, fileOf, headerOf } from '../../support/files/gguf-export.ts';
import { temporaryFolder } from '../../support/machine/temporary-folder.ts';
import { tinyAdapter } from '../../support/models/tiny-adapter.ts';
import { visionFolder } from '../../support/models/vision-folder.ts';

const engine = await openFast();

let [folder, adapterPath] = ['', ''];
let result: ExportResult;
beforeAll(async () => {
  folder = await visionFolder('qwen3_vl');
  adapterPath = await tinyAdapter({ engine, method: 'spsft', budget: { r: 4 }, base: folder });
  result = await exportGguf(engine, folder, { adapterPath });
});

test('the language model and the encoder are two files, which the Modelfile and the commands name', async () => {
  expectVerified(result);
  const [text, encoder] = [basename(fileOf(result)), basename(encoderFileOf(result) ?? '')];
  expect(encoder).toBe(`mmproj-${basename(folder)}.gguf`);
  expect(readFileSync(join(result.outputDir, 'Modelfile'), 'utf8')).toMatch(new RegExp(`^FROM \\./${text}\\nFROM \\./${encoder}\\n`));
  expect(result.commands).toMatchObject({
    'llama.cpp': `llama-mtmd-cli -m ${text} --mmproj ${encoder}`,
    'LM Studio': expect.stringMatching(new RegExp(`^lms import ${text} --user-repo (\\S+) && lms import ${encoder} --user-repo \\1$`)),
  });
  const { metadata } = await headerOf(fileOf(result));
  expect(metadata.get('general.architecture')).toBe('qwen3vl');
  expect(metadata.get('qwen3vl.n_deepstack_layers')).toBe(2);
  // The config divides 8 pairs into 4, 2 and 2, so pair 7 rotates by time: in llama.cpp, it would not rotate at all.
  expect(metadata.get('qwen3vl.rope.dimension_sections')).toEqual([4, 3, 2, 0]);
});

test('the file of the language model is a base for texts', async () => {
  const path = fileOf(result);
  const again = await exportGguf(engine, path, { type: 'base' });
  expectVerified(again);
  expect(encoderFileOf(again)).toBeUndefined();
  expect((await headerOf(fileOf(again))).metadata).toEqual((await headerOf(path)).metadata);
  // The folder of both files is opened as the language model.
  const copy = await temporaryFolder();
  for (const file of [path, encoderFileOf(result) ?? '']) await cp(file, join(copy, basename(file)));
  const { config, weights } = await openModel(copy);
  await weights.close();
  expect([config.architectures, causalModel(config).vision]).toEqual([['Qwen3ForCausalLM'], undefined]);
});

test('the file of the encoder is refused as a model', async () => {
  await expect(openModel(encoderFileOf(result) ?? '')).rejects.toThrow(
    /is the encoder of images of a language model \(mmproj\), not a model.*Give the GGUF file of the language model/s,
  );
});

test('without a file of the processor, the language model is written alone, with the reason', async () => {
  const bare = await temporaryFolder();
  await cp(folder, bare, { recursive: true });
  await rm(join(bare, 'preprocessor_config.json'));
  const events: WorkerEvent[] = [];
  const alone = await exportGguf(engine, bare, { onEvent: event => events.push(event) });
  expect(encoderFileOf(alone)).toBeUndefined();
  expect(readFileSync(join(alone.outputDir, 'Modelfile'), 'utf8').match(/^FROM/gm)).toHaveLength(1);
  expect(events).toContainEqual({
    type: 'log',
    level: 'warning',
    message: expect.stringMatching(
      /^the file holds the text part of the model alone: preprocessor_config\.json is missing.* llama\.cpp reads images with the mmproj file of its base$/,
    ),
  });
});

test('a grid that llama.cpp rotates otherwise is refused', async () => {
  const other = await temporaryFolder();
  await cp(folder, other, { recursive: true });
  const config = JSON.parse(readFileSync(join(other, 'config.json'), 'utf8'));
  config.text_config.rope_parameters.mrope_section = [6, 1, 1];
  writeFileSync(join(other, 'config.json'), JSON.stringify(config));
  await expect(exportGguf(engine, other)).rejects.toThrow(
    /llama\.cpp would rotate 3 of 8 pairs of features of images by other places \(mrope_section\): export it as merged/,
  );
});
