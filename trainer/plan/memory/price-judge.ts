/** The memory of a reward model while it scores answers, next to the model of the run: its weights, and its largest batch. */
import { singleSteps } from '../../graph/fusion/step.ts';
import { liveness } from '../../graph/liveness.ts';
import { assemble } from '../../graph/program.ts';
import { byteSize } from '../../graph/types.ts';
import { rewardTraces } from '../../objective/answers/reward-program.ts';
import { untouchedIn } from '../../objective/untouched-in.ts';
import type { RunPlan } from '../run-plan.ts';
import { bufferRules } from './engine-memory.ts';
import type { MeasuredPass } from './traced-passes.ts';

/** Copies of a weight in addition to its variable while it is loaded: as it was read, and as it is fed. What the run holds already leaves no room for them. */
const LOADED_COPIES = 2;

/** As a pass of the run; undefined if no reward model scores. */
export function priceJudge({ judge, precision, on }: Pick<RunPlan, 'judge' | 'precision' | 'on'>): MeasuredPass | undefined {
  if (!judge) return undefined;
  const { model, shape } = judge;
  const { signatures, variables } = assemble(rewardTraces(model, untouchedIn(model, precision), [shape]));
  const rules = bufferRules(on.engine, { variables });
  const sizes = variables.map(spec => rules.bytes(spec));
  const held = sizes.reduce((sum, bytes) => sum + bytes, 0);
  const loading = LOADED_COPIES * sizes.reduce((most, bytes) => Math.max(most, bytes), 0);
  const passes = Object.values(signatures).map(signature => ({
    alive: liveness(signature, singleSteps(signature), rules).bytes.reduce((most, each) => Math.max(most, each), 0),
    nodes: signature.schedule.length,
    fed: signature.feeds.reduce((sum, { attrs }) => sum + byteSize(attrs.spec), 0),
  }));
  return {
    activationBytes: held + Math.max(loading, ...passes.map(({ alive }) => alive)),
    flops: 0,
    nodes: passes.reduce((sum, { nodes }) => sum + nodes, 0),
    compilerBytes: 0,
    convolutions: 0,
    feedBytes: Math.max(...passes.map(({ fed }) => fed)),
  };
}
