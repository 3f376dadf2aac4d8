/** The memory of a reward model while it scores answers, in addition to the run's model: its weights, and its largest batch. */
import { assemble } from '../../graph/program.ts';
import { byteSize } from '../../graph/types.ts';
import { rewardTraces } from '../../objective/answers/reward-program.ts';
import { untouchedIn } from '../../objective/untouched-in.ts';
import type { RunPlan } from '../run-plan.ts';
import { bufferRules } from './engine-memory.ts';
import { priceReads } from './hosted-weights.ts';
import type { MeasuredPass } from './traced-passes.ts';

/**
 * Copies of a weight, in addition to its variable, while it is loaded: the one just read, and the next. The run's variables leave no free
 * space for them.
 */
const LOADED_COPIES = 2;

/** Returns the memory as a pass of the run; undefined if no reward model scores answers. */
export function priceJudge({
  judge,
  precision,
  on,
  hostFrom,
}: Pick<RunPlan, 'judge' | 'precision' | 'on' | 'hostFrom'>): MeasuredPass | undefined {
  if (!judge) return undefined;
  const { model, shape } = judge;
  const attachment = untouchedIn(model, precision, hostFrom);
  const program = assemble(rewardTraces(model, attachment, [shape]));
  const { signatures, variables } = program;
  const { sizes, most } = priceReads(program, attachment, { ...on, rules: bufferRules(on.engine, { variables }) });
  const held = sizes.reduce((sum, bytes) => sum + bytes, 0);
  const loading = LOADED_COPIES * Math.max(...sizes);
  const passes = Object.values(signatures);
  return {
    activationBytes: held + Math.max(loading, most),
    flops: 0,
    nodes: passes.reduce((sum, { schedule }) => sum + schedule.length, 0),
    compilerBytes: 0,
    convolutions: 0,
    feedBytes: Math.max(...passes.map(({ feeds }) => feeds.reduce((sum, { attrs }) => sum + byteSize(attrs.spec), 0))),
  };
}
