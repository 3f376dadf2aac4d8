/** Tests how measured peaks are split into the model, the training state and the rest. */
import { expect, test } from 'vitest';
import { memorySplit } from '../../../trainer/job/memory-meter.ts';

const params = { baselineBytes: 100, tuningBytes: 20, gradientBytes: 5 };

test.each([
  ['a step takes most', 220, 300, { mem_M: 100, mem_FT: 25, mem_Aux: 75, mem_TTL: 200, mem: 100 }],
  ['an evaluation takes most', 300, 220, { mem_M: 180, mem_FT: 20, mem_Aux: 0, mem_TTL: 200, mem: 20 }],
  ['a step needs gradients that an evaluation does not', 300, 302, { mem_M: 180, mem_FT: 22, mem_Aux: 0, mem_TTL: 202, mem: 22 }],
  ['the system has not given the pages of the state yet', 110, 105, { mem_M: 0, mem_FT: 10, mem_Aux: 0, mem_TTL: 10, mem: 10 }],
  ['nothing has grown', 90, 95, { mem_M: 0, mem_FT: 0, mem_Aux: 0, mem_TTL: 0, mem: 0 }],
])('%s', (_, inferencePeak, trainingPeak, split) => {
  expect(memorySplit(params, inferencePeak, trainingPeak)).toEqual(split);
});
