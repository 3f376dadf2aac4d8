/** Compares quantiles of the standard normal distribution with those of PyTorch 2.13 (`Normal.icdf` in float64). */
import { expect, test } from 'vitest';
import { normalQuantile } from '../../../../trainer/model/layer/normal-quantile.ts';

test.each([
  [0.5, 0],
  [0.6, 0.2533471031357997],
  [0.95, 1.6448536269514722],
  [0.975, 1.959963984540054],
  [0.99, 2.3263478740408408],
  [0.99999, 4.264890793923841],
  [0.3, -0.5244005127080409],
  [0.001, -3.090232306167813],
])('%d of all values are below %d', (share, value) => {
  expect(normalQuantile(share)).toBeCloseTo(value, 9);
});
