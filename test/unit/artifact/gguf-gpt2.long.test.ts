/** Exports to GGUF of GPT-2, whose matrices Hugging Face's files transpose and GGUF files do not. */
import { beforeAll, expect, test } from 'vitest';
import type { Engine } from '../../../trainer/engine/engine.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { openFast } from '../../support/engines.ts';
import { expectVerified, exportGguf, fileOf, headerOf } from '../../support/files/gguf-export.ts';
import { tinyAdapter } from '../../support/models/tiny-adapter.ts';
import { tinyDecoder } from '../../support/models/tiny-decoder.ts';

let engine: Engine;
let [folder, base] = ['', ''];
beforeAll(async () => {
  engine = await openFast();
  folder = await tinyDecoder({ like: 'gpt2' });
  const result = await exportGguf(engine, folder, { type: 'F32' });
  expectVerified(result);
  base = fileOf(result);
});

test.each(['auto', 'F16', 'Q8_0'] as const)('%s: learned positions stay float32', async type => {
  const result = await exportGguf(engine, folder, { type });
  expectVerified(result);
  const { metadata, tensors } = await headerOf(fileOf(result));
  expect(metadata.get('general.architecture')).toBe('gpt2');
  const typeOf = (name: string) => tensors.find(tensor => tensor.name === name)?.type.name;
  expect([typeOf('position_embd.weight'), typeOf('blk.0.attn_qkv.weight')]).toEqual(['F32', type === 'auto' ? 'F32' : type]);
});

test.each(['base', 'Q8_0'] as const)('a GGUF base to %s', async type => {
  const adapterPath = await tinyAdapter({ engine, method: 'full', budget: { r: 1 }, base, targets: ['all-linear', '/ln_|wpe/'] });
  expectVerified(await exportGguf(engine, base, { adapterPath, type }));
});

test('a GGUF base to a merged folder', async () => {
  const { largestDifference, tolerance, outputDir } = await exportGguf(engine, base, { format: 'merged' });
  expect(largestDifference).toBeLessThanOrEqual(tolerance);
  const { weights } = await openModel(outputDir);
  expect(weights.tensors.get('transformer.h.0.attn.c_attn.weight')?.shape).toEqual([32, 96]);
  await weights.close();
});

test('an adapter', async () => {
  for (const from of [folder, base]) {
    const adapterPath = await tinyAdapter({ engine, method: 'lora', budget: { r: 2 }, base: from });
    expectVerified(await exportGguf(engine, from, { adapterPath, format: 'gguf-adapter' }));
  }
});

test.each([
  ['scores divided by layer', { scale_attn_by_inverse_layer_idx: true }, /cannot hold the attention scale of this GPT2/],
  ['scores without a scale', { scale_attn_weights: false }, /cannot hold the attention scale of this GPT2/],
  ['another activation', { activation_function: 'relu' }, /cannot hold the activation of this GPT2/],
] as const)('%s: refused', async (_, changes, message) => {
  await expect(exportGguf(engine, await tinyDecoder({ like: 'gpt2', changes }))).rejects.toThrow(message);
});
