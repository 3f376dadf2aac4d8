/** Tests trained columns in an export onto a GGUF base: only blocks that contain one are quantized again. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readAdapter } from '../../../trainer/adapter/read-adapter.ts';
import { type ExportParams, exportModel } from '../../../trainer/artifact/export-model.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { required, valueFor } from '../../../trainer/narrow.ts';
import { cacheDir } from '../../support/cache-dir.ts';
import { openFast } from '../../support/engines.ts';
import { expectVerified, fileOf, headerOf } from '../../support/files/gguf-export.ts';
import { temporaryFolder } from '../../support/machine/temporary-folder.ts';
import { type TinyAdapterParams, tinyAdapter } from '../../support/models/tiny-adapter.ts';
import { tinyDecoder } from '../../support/models/tiny-decoder.ts';

/** Elements in a block of Q4_1, and its size in bytes. */
const [NUMBERS, BYTES] = [32, 20];

const engine = await openFast();
const trained = (base: string, tuning: Partial<TinyAdapterParams> = {}) =>
  tinyAdapter({ engine, method: 'spsft', budget: { r: 1 }, base, ...tuning });
const exportOf = async (adapterPath: string, type: ExportParams['type']) =>
  exportModel({
    format: 'gguf',
    type,
    outputDir: join(await temporaryFolder(), 'out'),
    overwrite: false,
    engine,
    cacheDir,
    openBase: ({ source }) => openModel(source),
    adapterPath,
  });

test('an export changes only the blocks that hold a trained column', async () => {
  const base = fileOf(await exportOf(await trained(await tinyDecoder({ like: 'llama' })), 'Q4_1'));
  const adapterPath = await trained(base, { targets: ['o_proj', 'down_proj'], settings: { trains: 'columns' } });
  const result = await exportOf(adapterPath, 'base');
  expectVerified(result);
  const adapter = await readAdapter(adapterPath);
  const { columns } = adapter.description;
  await adapter.close();
  const [before, after] = [readFileSync(base), readFileSync(fileOf(result))];
  const { tensors } = await headerOf(base);
  const blocks = new Map<string, Set<number>>();
  for (let at = 0; at < before.length; at++) {
    if (before[at] === after[at]) continue;
    const { name, position, byteLength, shape } = required(
      tensors.find(own => at >= own.position && at < own.position + own.byteLength),
      'the tensor of a changed byte',
    );
    const inRow = (at - position) % (byteLength / (shape[0] as number));
    blocks.set(name, (blocks.get(name) ?? new Set()).add(Math.floor(inRow / BYTES)));
  }
  const wanted = new Map(
    [0, 1].flatMap(layer => [
      [`blk.${layer}.attn_output.weight`, valueFor(columns, `model.layers.${layer}.self_attn.o_proj`)] as const,
      [`blk.${layer}.ffn_down.weight`, valueFor(columns, `model.layers.${layer}.mlp.down_proj`)] as const,
    ]),
  );
  expect([...blocks.keys()].sort()).toEqual([...wanted.keys()].sort());
  for (const [name, own] of wanted) expect(blocks.get(name), name).toEqual(new Set([...own].map(column => Math.floor(column / NUMBERS))));
});
