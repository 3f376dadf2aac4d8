/** Exports of models whose weights are stored as codes: plain numbers, in the same shards, that compute what was trained. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { exportModel } from '../../../trainer/artifact/export-model.ts';
import { openPlainWeights } from '../../../trainer/format/plain-weights.ts';
import { INDEX_FILE, openSafetensors, SAFETENSORS } from '../../../trainer/format/safetensors/safetensors-source.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { openFast } from '../../support/engines.ts';
import { readRecord } from '../../support/files/read-json.ts';
import { temporaryFolder } from '../../support/machine/temporary-folder.ts';
import { SHARDS, shardedCopy } from '../../support/models/sharded-copy.ts';
import { tinyAdapter } from '../../support/models/tiny-adapter.ts';
import { goldenPath } from '../hub/model-bytes.ts';

test.each([
  ['qwen3_compressed', 'BF16'],
  ['qwen3_compressed_mx', 'BF16'],
  ['qwen3_gptq', 'F16'],
  ['qwen3_gptq3', 'F16'],
  ['qwen3_awq', 'F16'],
  ['qwen3_fp8_exponents', 'F32'],
  ['qwen3_modelopt', undefined],
  ['qwen3_auto_round', 'F16'],
  ['qwen3_bnb8', 'F32'],
  ['qwen3_mlx', 'BF16'],
  ['qwen3_mlx_floats', 'BF16'],
])('%s: the rest of a merged model has the numbers that were read', async (folder, dtype) => {
  const engine = await openFast();
  const base = await shardedCopy(goldenPath(folder));
  const adapterPath = await tinyAdapter({ engine, method: 'spsft', budget: { r: 4 }, base });
  const outputDir = join(await temporaryFolder(), 'out');
  await exportModel({ adapterPath, outputDir, overwrite: false, engine, openBase: ({ source }) => openModel(source), format: 'merged' });
  expect(readRecord(join(outputDir, 'config.json'))).not.toHaveProperty('quantization_config');
  expect(readRecord(join(outputDir, 'config.json'))).not.toHaveProperty('quantization');
  const before = await openPlainWeights(join(base, INDEX_FILE), SAFETENSORS, readRecord(join(base, 'config.json')));
  const after = await openSafetensors(join(outputDir, INDEX_FILE));
  expect([...after.shards.keys()]).toEqual(SHARDS);
  expect([...after.tensors.keys()].sort()).toEqual([...before.tensors.keys()].sort());
  for (const [name, { shape }] of before.tensors) {
    const found = after.tensors.get(name);
    expect(found?.shape).toEqual(shape);
    if (dtype && /(q|up|down)_proj/.test(name)) expect(found?.dtype).toBe(dtype);
    const [old, now] = [await before.readFloat32(name), await after.readFloat32(name)];
    const width = old.length / (shape[0] ?? 1);
    const rows = new Set([...old.keys()].filter(i => old[i] !== now[i]).map(i => Math.floor(i / width)));
    expect(rows.size, name).toBeLessThanOrEqual(4);
  }
  await Promise.all([before.close(), after.close()]);
});

test.each([
  ['qwen3_moe_mlx', 'qwen3_moe'],
  ['mixtral_mlx', 'mixtral'],
  ['gpt_oss_mlx', 'gpt_oss'],
  ['deepseek_v3_mlx', 'deepseek_v3'],
  ['qwen3_next_mlx', 'qwen3_next'],
  ['lfm2_mlx', 'lfm2'],
  ['lfm2_moe_mlx', 'lfm2_moe'],
  ['granite4_mlx', 'granite4_mamba'],
  ['granite4_experts_mlx', 'granite4_experts'],
  ['nemotron_h_mlx', 'nemotron_h_experts', 'nemotron_h'],
])('%s: experts have the names of Transformers, as in %s', async (folder, ...saved) => {
  const engine = await openFast();
  const adapterPath = await tinyAdapter({ engine, method: 'spsft', budget: { r: 2 }, base: goldenPath(folder) });
  const outputDir = join(await temporaryFolder(), 'out');
  await exportModel({ adapterPath, outputDir, overwrite: false, engine, openBase: ({ source }) => openModel(source), format: 'merged' });
  const [after, ...theirs] = await Promise.all(
    [outputDir, ...saved.map(goldenPath)].map(at => openSafetensors(join(at, 'model.safetensors'))),
  );
  const kinds = (files: typeof after) => [...(files?.tensors.keys() ?? [])].map(name => name.replace(/\d+/g, '0'));
  // The saved folders also have other layers and biases.
  const known = new Set(theirs.flatMap(kinds));
  expect(kinds(after).filter(name => !known.has(name))).toEqual([]);
  // Norms lose a one, and these numbers have float32 in MLX.
  const wide = /norm\.weight|A_log|dt_bias|e_score_correction_bias/;
  for (const { name, dtype } of after?.tensors.values() ?? []) if (!wide.test(name)) expect([name, dtype]).toEqual([name, 'BF16']);
  await Promise.all([after, ...theirs].map(files => files?.close()));
});
