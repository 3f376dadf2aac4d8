import { expect, test } from 'vitest';
import { detectLlama3Scaling, type Llama3Scaling, llama3Factors } from '../../../trainer/format/gguf/rope-factors.ts';

const published = {
  rope_type: 'llama3',
  factor: 32,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 8192,
} as const;

test('the published settings are found in their factors, and none in factors that no settings give', () => {
  const factors = llama3Factors({ scaling: published, headDim: 64, theta: 500000 });
  const detect = (changed: Float32Array) => detectLlama3Scaling({ factors: changed, headDim: 64, theta: 500000 });
  expect(detect(factors)).toEqual(published);
  expect(detect(factors.map((f, i) => (i === 12 ? f * 2 : f)))).toBeUndefined();
  expect(detect(factors.map(f => f * 2))).toBeUndefined();
});

test.each([
  { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 4096 },
  { factor: 16, low_freq_factor: 1, high_freq_factor: 2.5, original_max_position_embeddings: 1000 },
  { factor: 4, low_freq_factor: 2, high_freq_factor: 32, original_max_position_embeddings: 131072 },
])('equal settings are found for factors of other models: %j', given => {
  const of = (scaling: Llama3Scaling) => llama3Factors({ scaling, headDim: 128, theta: 500000 });
  const factors = of({ rope_type: 'llama3', ...given });
  const found = detectLlama3Scaling({ factors, headDim: 128, theta: 500000 });
  if (!found) throw new Error('not found');
  expect(found.factor).toBe(given.factor);
  expect(found.low_freq_factor).toBeCloseTo(1, 3);
  for (const [i, value] of of(found).entries()) expect(value / (factors[i] ?? 0)).toBeCloseTo(1, 4);
});
