/** Exports to GGUF of multi-head latent attention: read back, and run by llama.cpp if installed; old files of such models; and GGUF bases. */
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import type { Engine } from '../../../trainer/engine/engine.ts';
import { openByteFile } from '../../../trainer/format/byte-file.ts';
import { readGguf } from '../../../trainer/format/gguf/gguf-header.ts';
import { writeGguf } from '../../../trainer/format/gguf/gguf-writer.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { openFast } from '../../support/engines.ts';
import { expectVerified, exportGguf, fileOf, headerOf } from '../../support/files/gguf-export.ts';
import { temporaryFolder } from '../../support/machine/temporary-folder.ts';
import { tinyAdapter } from '../../support/models/tiny-adapter.ts';
import { tinyDecoder } from '../../support/models/tiny-decoder.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await openFast();
});

const yarn = { rope_type: 'yarn', rope_theta: 10000, factor: 4, original_max_position_embeddings: 64 };
const oneWeight = { attention_bias: false, rope_parameters: { ...yarn, mscale: 0.7, mscale_all_dim: 0.7 } };
const plain = { attention_bias: false, rope_parameters: { rope_type: 'default', rope_theta: 10000 } };

test.each([
  ['YaRN and experts in groups', { like: 'deepseek_v3', changes: oneWeight }],
  // As in the published model, whose norms of short vectors have the epsilon of all others.
  ['other weights of the logarithm', { like: 'deepseek_v3', changes: { ...oneWeight, rms_norm_eps: 1e-6, n_group: 1, topk_group: 1 } }],
  ['plain MLPs', { like: 'youtu', changes: oneWeight }],
  ['plain MLPs, tied', { like: 'youtu_tied', changes: { q_lora_rank: 20, rope_interleave: true } }],
  // llama.cpp recognizes queries without a short vector by the number of blocks.
  ['plain queries', { like: 'glm4_moe_lite', changes: { num_hidden_layers: 26, rope_interleave: true, mlp_layer_types: undefined } }],
])('%s', async (_, params) => {
  const warnings: string[] = [];
  const result = await exportGguf(engine, await tinyDecoder(params), {
    type: 'F32',
    onEvent: event => {
      if (event.type === 'log' && event.level === 'warning') warnings.push(event.message);
    },
  });
  expectVerified(result);
  expect((await headerOf(fileOf(result))).metadata.get('general.architecture')).toBe('deepseek2');
  const epsilon =
    'rms_norm_eps' in params.changes ? [] : [expect.stringMatching(/with rms_norm_eps 0\.00001, and Transformers with 0\.000001/)];
  expect(warnings.filter(each => each.includes('short vectors'))).toEqual(epsilon);
});

test.each([
  ['two weights of the logarithm', 'deepseek_v3', { attention_bias: false }, /cannot hold the rotary positions of this DeepseekV3/],
  [
    'no weights of the logarithm',
    'youtu',
    { attention_bias: false, rope_parameters: yarn },
    /cannot hold the attention scale.* of this Youtu/,
  ],
  ['biases', 'deepseek_v3', { rope_parameters: plain.rope_parameters }, /cannot hold the biases of this DeepseekV3/],
  ['pairs of the two halves of a head', 'youtu_tied', { q_lora_rank: 20 }, /cannot hold the rotary positions of this Youtu/],
  [
    'blocks with experts in an order of their own',
    'glm4_moe_lite',
    { rope_interleave: true },
    /cannot hold the experts of this Glm4MoeLite/,
  ],
] as const)('%s: refused', async (_, like, changes, message) => {
  await expect(exportGguf(engine, await tinyDecoder({ like, changes }))).rejects.toThrow(message);
});

test('a file with YaRN and without the weight of its logarithm: scores are multiplied as well as tables, as llama.cpp does', async () => {
  const written = fileOf(await exportGguf(engine, await tinyDecoder({ like: 'deepseek_v3', changes: oneWeight }), { type: 'F32' }));
  const source = await openByteFile(written);
  const { header, entries } = await readGguf(source);
  const tensors = header.tensors.map(({ name, type, shape, position, byteLength }) => ({
    ...{ name, type, shape },
    data: () => source.read(position, byteLength),
  }));
  const base = join(await temporaryFolder(), 'older.gguf');
  const older = entries.filter(({ key }) => key !== 'deepseek2.rope.scaling.yarn_log_multiplier');
  expect(older).toHaveLength(entries.length - 1);
  await writeGguf(base, older, tensors);
  await source.close();
  expectVerified(await exportGguf(engine, base, { type: 'F32' }));
});

test.each(['base', 'Q8_0'] as const)('a GGUF base, whose keys are transposed and apart from values, to %s', async type => {
  const base = fileOf(await exportGguf(engine, await tinyDecoder({ like: 'deepseek_v3', changes: plain }), { type: 'F32' }));
  const opened = await openModel(base);
  expect(opened.config).toMatchObject({ architectures: ['DeepseekV3ForCausalLM'], head_dim: 4, num_key_value_heads: 4, q_lora_rank: 20 });
  await opened.weights.close();
  const adapterPath = await tinyAdapter({ engine, method: 'full', budget: { r: 1 }, base, targets: ['all-linear', '/norm/'] });
  expectVerified(await exportGguf(engine, base, { adapterPath, type }));
});

test.each([
  ['q_b_proj', /llama\.cpp applies no adapter to .*q_b_proj/],
  ['kv_b_proj', /kv_b_proj has no tensor of its own in llama\.cpp: export it as gguf/],
])('an adapter of %s is refused', async (target, message) => {
  const base = await tinyDecoder({ like: 'deepseek_v3', changes: plain });
  const adapterPath = await tinyAdapter({ engine, method: 'lora', budget: { r: 2 }, base, targets: [target] });
  await expect(exportGguf(engine, base, { adapterPath, format: 'gguf-adapter' })).rejects.toThrow(message);
});
