/**
 * Tests small versions of the simulators of many ranks and large sweeps; `npm run bench -- --part scale-model` runs them at 1,024 ranks and
 * 10,000 runs.
 */
import { expect, test } from 'vitest';
import { benchRecipe } from '../../../bench/recipe.ts';
import { scalePlan } from '../../../bench/scale/scale.ts';
import { scheduleOf } from '../../../bench/scale/scale-model.ts';
import { planInRanks } from '../../../bench/scale/sharding.ts';
import { fitNetwork, simulateStep, sumSeconds } from '../../../bench/scale/step-time.ts';
import { simulateSweep } from '../../../bench/scale/sweep-time.ts';
import { nodesFlops } from '../../../trainer/graph/liveness.ts';
import { headersOf } from '../../../trainer/plan/config-headers.ts';
import { estimateRecipe } from '../../../trainer/plan/memory/predict.ts';
import { eightBlocks } from '../../support/models/llama-sizes.ts';

const SHORT = 'max_length: 32\nrecompute: cheap\n';

test.each(['method: spsft\nr: 4\n', 'method: lora\nr: 2\n', 'method: full\n', 'method: full\nmax_grad_norm: 0\n'])(
  'a simulated step of %j gives every trained number once, and hides no more than it computes',
  lines => {
    const schedule = scheduleOf(eightBlocks, `${lines}${SHORT}`);
    const { trainable } = estimateRecipe({ recipe: benchRecipe(`${lines}${SHORT}`), headers: headersOf(eightBlocks) });
    const flopsPerSecond = nodesFlops(schedule);
    const at = (ranks: number, bytesPerSecond: number) =>
      simulateStep(schedule, { ranks, network: { latencySeconds: 0, bytesPerSecond }, flopsPerSecond });
    const alone = at(1, 1);
    expect(alone).toMatchObject({ bytes: 4 * trainable, exchangeSeconds: 0, waitedSeconds: 0 });
    expect(alone.seconds).toBeCloseTo(1, 9);
    // A network so slow that it dominates the step.
    const slow = at(4, alone.bytes / 100);
    expect(slow.exchangeSeconds).toBeCloseTo(150, 6);
    expect(slow.waitedSeconds).toBeGreaterThan(149);
    expect(slow.seconds).toBeLessThanOrEqual(151 + 1e-6);
    // A network so fast that only the last sum is waited for.
    const fast = at(4, alone.bytes * 1e3);
    expect(fast.waitedSeconds).toBeLessThanOrEqual(fast.exchangeSeconds);
    expect(fast.seconds).toBeCloseTo(fast.computeSeconds + fast.waitedSeconds, 12);
  },
);

test('the fit of the exchange times gives back latency and bandwidth', () => {
  const network = { latencySeconds: 4e-6, bytesPerSecond: 2e9 };
  const points = [4, 4e3, 4e5, 2e7].map(bytes => [bytes, sumSeconds(bytes, 8, network)] as const);
  const found = fitNetwork(points, 8);
  expect(found.latencySeconds).toBeCloseTo(network.latencySeconds, 12);
  expect(found.bytesPerSecond / network.bytesPerSecond).toBeCloseTo(1, 9);
});

test('64 ranks train every sample once, with the same shapes', () => {
  const { batches, shapes } = planInRanks({ ranks: 64, samples: 1003, batchSize: 2, seed: 3 });
  expect(batches).toBe(Math.ceil(1003 / 128));
  expect(shapes).toBeGreaterThan(1);
});

test('a sweep of 500 runs ends with every worker used and few evaluations', () => {
  const sweep = { runs: 500, workers: 16, order: { ahead: 16 }, reductionFactor: 3, minEvaluations: 1, evaluations: 27, seed: 2 };
  const found = simulateSweep(sweep);
  expect(found.mostAtOnce).toBe(16);
  expect(found.evaluations).toBeLessThan(0.2 * 500 * 27);
  expect(found.winnerPlace).toBeLessThan(25);
  // Decisions that do not wait for stragglers keep the same workers busier.
  const ahead = simulateSweep({ ...sweep, order: { ahead: 256 } });
  expect(ahead.busy).toBeGreaterThan(found.busy);
  const arrival = simulateSweep({ ...sweep, order: 'arrival' });
  expect(arrival.busy).toBeGreaterThan(ahead.busy);
  expect(arrival.mostAtOnce).toBe(16);
  expect(arrival.winnerPlace).toBeLessThan(25);
});

test('every measurement with several processes has one with a single process', () => {
  const plan = scalePlan(2);
  for (const { method, processes, batchEach } of plan)
    if (processes > 1) expect(plan).toContainEqual({ method, processes: 1, threadsEach: 1, batchEach });
});
