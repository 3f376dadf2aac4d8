/** The study: each family's rate is tuned once, by a search that continues from an end; controls are among the ways; the page counts its runs. */
import { expect, test } from 'vitest';
import { studyMarkdown } from '../../../bench/study-markdown.ts';
import { parts, planOf, SEEDS, testRuns, tunedWays, waysOf } from '../../../bench/study-plan.ts';
import { bestOf, MOST_RATES, neighborRate, nextRate, type RateResult } from '../../../bench/study-rates.ts';
import type { StudyRun } from '../../../bench/study-results.ts';
import { measureNames } from '../../../trainer/catalog/measures.ts';

test.each(parts)('$name: a rate for each family, three seeds a way, controls among them', part => {
  const ways = waysOf(part);
  const families = new Set(ways.map(({ family }) => family));
  expect(tunedWays(ways).map(({ family }) => family)).toEqual([...families]);
  expect(tunedWays(ways)[0]?.name).toBe('spsft, magnitude');
  expect(ways.map(({ name }) => name)).toEqual(expect.arrayContaining(['spsft, random', 'spsft, magnitude', 'lora', 'head', 'full']));
  const tested = testRuns(ways, new Map([...families].map(family => [family, 0.5])));
  expect(tested).toHaveLength(SEEDS.length * ways.length);
  expect(tested.every(({ learningRate }) => learningRate === 0.5)).toBe(true);
});

test('every measure is tried where a run takes seconds', () => {
  const tried = (name: string) => parts.find(part => part.name === name)?.measures;
  for (const name of ['vit', 'resnet', 'minilm']) expect([...(tried(name) ?? []), 'random'].sort()).toEqual([...measureNames].sort());
});

test('runs of one plan are not those of another', () => {
  expect(new Set(parts.map(planOf)).size).toBe(parts.length);
});

test('learning rates stand half a decade apart, as written by hand', () => {
  expect([-3, -2, -1, 0, 1, 2, 3].map(steps => neighborRate(1e-3, steps))).toEqual([3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2]);
  expect(neighborRate(3e-1, 1)).toBe(1);
});

/** Searches where the accuracy of a rate is given. */
function search(start: number, accuracy: (rate: number) => number): RateResult[] {
  const tried: RateResult[] = [];
  for (let rate = nextRate(start, tried); rate !== undefined; rate = nextRate(start, tried))
    tried.push({ learningRate: rate, accuracy: accuracy(rate), loss: 1 });
  return tried;
}

test.each([
  ['between the first three', 3e-3, 3],
  ['above', 1e-1, 6],
  ['below', 3e-4, 5],
  ['out of reach', 1e3, MOST_RATES],
])('a best rate %s is found, or the search ends', (_, best, tries) => {
  const tried = search(1e-3, rate => -Math.abs(Math.log(rate / best)));
  expect(tried).toHaveLength(tries);
  if (tries < MOST_RATES) expect(bestOf(tried)?.learningRate).toBe(best);
});

test('of equal accuracies the lower loss is better', () => {
  const results = [1, 0.5, 2].map((loss, i) => ({ learningRate: neighborRate(1e-3, i), accuracy: 0.9, loss }));
  expect(bestOf(results)?.learningRate).toBe(3e-3);
});

const run = (facts: Partial<StudyRun>): StudyRun => ({
  part: 'vit',
  purpose: 'test',
  way: 'lora',
  family: 'lora',
  learningRate: 3e-2,
  seed: 2,
  before: 0.1,
  accuracy: 0.8,
  loss: 1,
  trainable: 1000,
  parameters: 10_000,
  steps: 5,
  samples: 100,
  seconds: 2,
  ...facts,
});
const page = (runs: readonly StudyRun[]): string =>
  studyMarkdown({ vit: { part: 'vit', plan: '', base: '', runs, minutes: 1, date: '2026-01-01', machine: 'a machine' } });

test('the page: mean and deviation over seeds, the rates that were tried, and where the best lies at an end', () => {
  const tested = [0.8, 0.9, 0.7].map((accuracy, i) => run({ seed: SEEDS[i] as number, accuracy }));
  const tuned = [0.5, 0.6, 0.7].map((accuracy, i) => run({ purpose: 'tune', learningRate: neighborRate(3e-3, i), accuracy }));
  const text = page([...tuned, ...tested]);
  expect(text).toContain('| lora | 80.0 ± 10.0 | 1.000 ± 0.000 | 1,000 | 10.0% | 0.03 | 2.0 |');
  expect(text).toContain('Learning rates tried: lora 0.003, 0.01, 0.03. The best lies at an end of those tried for lora (0.03)');
  expect(text).toContain('Made with other settings than the study has now');
  expect(text).not.toContain('MiniLM on spam');
  expect(text).toMatch(/Not run yet: spsft, magnitude; .*spsft, fisher; .*full\. `npm run study -- --parts vit --resume` runs/);
  expect(text).not.toMatch(/Not run yet: .*lora;/);
});

test('measures are set against random rows seed by seed', () => {
  const rows = (measure: string, accuracies: readonly number[], loss: number): StudyRun[] =>
    accuracies.map((accuracy, i) => run({ way: `spsft, ${measure}`, family: 'spsft', seed: SEEDS[i] as number, accuracy, loss }));
  const text = page([
    ...rows('random', [0.5, 0.6, 0.7], 1),
    ...rows('taylor', [0.6, 0.7, 0.8], 0.5),
    ...rows('magnitude', [0.4, 0.5, 0.6], 1.5),
    ...rows('wanda', [0.4, 0.7, 0.6], 1),
  ]);
  expect(text).toContain('| spsft, taylor | +10.0 ± 0.0 | −0.500 ± 0.000 |');
  expect(text).toContain('| spsft, wanda | −3.3 ± 11.5 | +0.000 ± 0.000 |');
  expect(text).toContain('by accuracy and by loss: taylor. Worse in every seed by both: magnitude.');
});

test('a run that diverged is named and left out of the means', () => {
  const diverged = run({ seed: 4, accuracy: 0, loss: Number.MAX_VALUE, steps: 0, trainable: 0, parameters: 0 });
  expect(page([run({ seed: 2 }), run({ seed: 3 }), diverged])).toContain('| lora (1 of 3 diverged and are left out) | 80.0 ± 0.0 |');
});

test('a study that was cut off says what it lacks', () => {
  const tuned = run({ purpose: 'tune' });
  expect(page([tuned])).toMatch(
    /Nothing is tested yet; 2026.*Not run yet: spsft, magnitude; .*lora; .*Learning rates tried: lora 0\.03\./s,
  );
  const text = page([tuned, run({ seed: 2 })]);
  expect(text).toContain('| lora (1 of 3 seeds) | 80.0 ± 0.0 |');
  expect(text).toMatch(/Not run yet: .*lora;/);
});
