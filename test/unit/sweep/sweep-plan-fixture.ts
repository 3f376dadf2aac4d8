/** The plan of a small sweep. */
import type { SweepPlan } from '../../../trainer/sweep/sweep-plan.ts';

export const sweepPlan: SweepPlan = {
  version: 1,
  name: 'spam',
  createdAt: '2026-01-01T00:00:00Z',
  source: { text: 'model: m', fileName: 'spam.rowtune.yaml', baseDir: '/w', overrides: [] },
  strategy: 'halving',
  metric: 'accuracy',
  mode: 'max',
  reductionFactor: 3,
  minEvaluations: 1,
  parallel: 2,
  runs: [{ id: '001', settings: { r: 8 }, fixed: ['threads=1'] }],
};
