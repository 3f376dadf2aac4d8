/** The metadata of GGUF files that one family reads otherwise than others, or that no family takes as it is. */
import { expect, test } from 'vitest';
import { ggufConfig } from '../../../trainer/format/gguf/gguf-config.ts';
import type { GgufValue } from '../../../trainer/format/gguf/gguf-cursor.ts';

const configOf = (architecture: string, changes: Readonly<Record<string, GgufValue>>) => {
  const own: Readonly<Record<string, GgufValue>> = {
    ...{ embedding_length: 64, feed_forward_length: 64, context_length: 64, block_count: 1 },
    ...{ 'attention.head_count': 4, 'attention.layer_norm_rms_epsilon': 1e-6, ...changes },
  };
  const metadata = new Map<string, GgufValue>([['general.architecture', architecture]]);
  for (const [key, value] of Object.entries(own)) metadata.set(`${architecture}.${key}`, value);
  const header = { version: 3, metadata, tensors: [] };
  return ggufConfig({ path: 'x.gguf', header, tensors: new Map(), ropeFactors: undefined, ropeFactorsByLength: undefined });
};

test('a Granite that turns nothing is refused, and others may say how they were trained', () => {
  const changes = { 'rope.scaling.finetuned': false };
  expect(configOf('llama', changes)).toMatchObject({ architectures: ['LlamaForCausalLM'] });
  expect(configOf('granite', { 'rope.scaling.finetuned': true })).toMatchObject({ architectures: ['GraniteForCausalLM'] });
  expect(() => configOf('granite', changes)).toThrow(/granite\.rope\.scaling\.finetuned false is not supported; supported is true/);
});

test('norms of Cohere 2 have an epsilon of their own, which is missed by its name', () => {
  const window = { 'attention.sliding_window': 32 };
  expect(() => configOf('cohere2', window)).toThrow(/cohere2\.attention\.layer_norm_epsilon is missing/);
  const epsilon = Math.fround(1e-5);
  expect(configOf('cohere2', { ...window, 'attention.layer_norm_epsilon': epsilon })).toMatchObject({ layer_norm_eps: 1e-5 });
});

test('no list of more blocks than a model has is made', () => {
  expect(() => configOf('qwen35', { block_count: 100_000 })).toThrow(/qwen35\.block_count 100000 is above 512/);
});
