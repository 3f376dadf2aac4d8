/** Tests that headers derived from a config alone fit the model of every family, whatever the form in which its files store weights. */
import { expect, test } from 'vitest';
import { loadModel, weightMismatches } from '../../../trainer/model/load-model.ts';
import { headersOf } from '../../../trainer/plan/config-headers.ts';
import { families } from '../../support/golden/card-steps.ts';

test.each(families())('$folder', ({ config }) => {
  const model = loadModel(config);
  const { tensors } = headersOf(config);
  expect(tensors.size).toBe(model.parameters.length);
  expect(weightMismatches(model, tensors)).toEqual([]);
});
