/** Compares sampling with a naive version that applies restrictions one after the other to plain lists. */
import { describe, expect, test } from 'vitest';
import { candidates, likeliest, type SamplingSettings, sampleToken } from '../../../trainer/generate/sample.ts';
import { valueFor } from '../../../trainer/narrow.ts';
import { createRandom } from '../../../trainer/random.ts';

const logits = Float32Array.of(0.1, 2.5, -3, 2.5, 1.2, 0, -0.4, 1.9);

function naive({ temperature, topK, topP }: SamplingSettings): Map<number, number> {
  let kept = [...logits].map((logit, id) => ({ id, p: Math.exp(logit / temperature) })).sort((a, b) => b.p - a.p || a.id - b.id);
  if (topK > 0) kept = kept.slice(0, topK);
  const share = (list: typeof kept) => {
    const total = list.reduce((sum, { p }) => sum + p, 0);
    return list.map(({ id, p }) => ({ id, p: p / total }));
  };
  kept = share(kept);
  // A token stays if those before it have not yet reached topP.
  if (topP < 1) kept = kept.filter((_, i) => i === 0 || kept.slice(0, i).reduce((sum, { p }) => sum + p, 0) < topP);
  return new Map(share(kept).map(({ id, p }) => [id, p]));
}

const settings: SamplingSettings[] = [0.3, 1, 1.7].flatMap(temperature =>
  [0, 1, 3, 100].flatMap(topK => [1, 0.9, 0.5, 0.01].map(topP => ({ temperature, topK, topP }))),
);

test.each(settings)('candidates of %o', setting => {
  const found = candidates(logits, setting);
  const expected = naive(setting);
  expect(found.map(({ id }) => id)).toEqual([...expected.keys()]);
  for (const { id, probability } of found) expect(probability).toBeCloseTo(valueFor(expected, id), 12);
});

test('equal logits keep the order of their ids, in a large vocabulary', () => {
  const random = createRandom(3);
  const many = Float32Array.from({ length: 5000 }, () => Math.round(40 * random.uniform() - 20) / 8);
  [many[7], many[3000]] = [-0, Number.MIN_VALUE];
  const expected = [...many.keys()].sort((a, b) => (many[b] as number) - (many[a] as number) || a - b);
  expect(candidates(many, { temperature: 1, topK: 0, topP: 1 }).map(({ id }) => id)).toEqual(expected);
});

describe('draws', () => {
  test('temperature 0 takes the first of the largest and draws no number', () => {
    const random = createRandom(1);
    expect(sampleToken(logits, { temperature: 0, topK: 0, topP: 1 }, random)).toBe(1);
    expect(random.uint32()).toBe(createRandom(1).uint32());
    expect(likeliest(Float32Array.of(Number.NEGATIVE_INFINITY, -5))).toBe(1);
  });

  test('frequencies follow the probabilities', () => {
    const setting = { temperature: 0.8, topK: 5, topP: 0.9 };
    const random = createRandom(7);
    const counts = new Map<number, number>();
    const draws = 20_000;
    for (let i = 0; i < draws; i++) {
      const id = sampleToken(logits, setting, random);
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    const expected = naive(setting);
    expect([...counts.keys()].sort()).toEqual([...expected.keys()].sort());
    // Four standard deviations of a share of 20,000 draws are below 0.0142.
    for (const [id, p] of expected) expect(Math.abs((counts.get(id) ?? 0) / draws - p)).toBeLessThan(0.0142);
  });

  test('a seed determines the sequence', () => {
    const draw = (seed: number) => {
      const random = createRandom(seed);
      return Array.from({ length: 32 }, () => sampleToken(logits, { temperature: 1, topK: 0, topP: 1 }, random));
    };
    expect(draw(3)).toEqual(draw(3));
    expect(draw(3)).not.toEqual(draw(4));
  });
});
