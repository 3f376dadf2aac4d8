/** Tests that in bfloat16, every product of a training step is in bfloat16, including those that a method adds. */
import { expect, test } from 'vitest';
import { trainingStep } from '../../../trainer/plan/memory/counted-passes.ts';
import { cardPlan, configOf } from '../../support/golden/card-steps.ts';

test.each([
  ['lora', 'method: lora\nr: 2\nlora_dropout: 0.1'],
  ['vera', 'method: vera\nr: 2'],
  ['rows next to int8', 'r: 2\nquantize: int8'],
  ['columns next to nf4', 'trains: columns\nr: 2\nquantize: nf4'],
])('%s', (_, method) => {
  const { signature } = trainingStep(cardPlan(configOf('llama'), `${method}\ndtype: bfloat16\n`), 'cheap');
  const products = signature.schedule.filter(({ op }) => op === 'matmul');
  expect(products.length).toBeGreaterThan(20);
  expect(products.filter(({ dtype }) => dtype !== 'bfloat16')).toEqual([]);
});
