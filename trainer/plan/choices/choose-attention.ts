/** Decides whether one kernel of the device computes attention: as the recipe says, and only if the device passes a comparison. */
import type { Engine } from '../../engine/engine.ts';
import { isOp } from '../../graph/graph.ts';
import type { Program } from '../../graph/program.ts';
import type { RecipeScope } from '../../job/job-scope.ts';
import { RunError } from '../../run-error.ts';
import { type PlanFacts, planRun } from '../run-plan.ts';
import { type Attend, attentionForms, checkForms } from './check-attention.ts';

export interface ChooseAttentionParams extends Pick<RecipeScope, 'recipe' | 'job'> {
  readonly facts: PlanFacts;
  /** The processes of the run, to share each one's result. */
  readonly ranks?: { all(own: boolean): readonly boolean[] } | undefined;
  /** An implementation to test in place of the kernel. */
  readonly attend?: Attend;
}

/** The result on one process's device. */
interface Verdict {
  readonly isFused: boolean;
  /** The choice and its reason; omitted if there was nothing to choose. */
  readonly text?: string;
}

/**
 * Logs the choice on a device that has a kernel, and the reason if it does not use the kernel. Tests every variant of attention in the
 * programs of the run, and uses chunks unless all pass on the devices of all processes, because every process runs the same program.
 * @throws RunError if the recipe requires the kernel and it cannot be used
 */
export async function chooseAttention({ ranks, ...params }: ChooseAttentionParams, engine: Engine): Promise<boolean> {
  const { isFused, text } = await judge(params, engine);
  const isAgreed = ranks ? ranks.all(isFused).every(Boolean) : isFused;
  const said = isFused && !isAgreed ? 'attention: chunked; the device of another process cannot use the kernel' : text;
  if (said !== undefined) params.job.log('info', said);
  return isAgreed;
}

async function judge({ recipe, job, facts, attend }: Omit<ChooseAttentionParams, 'ranks'>, engine: Engine): Promise<Verdict> {
  if (recipe.attention === 'chunked') return { isFused: false };
  const isAsked = recipe.attention === 'fused';
  const { fusedAttention = false, summary } = engine.description;
  const refuse = (reason: string): Verdict => {
    if (isAsked) throw new RunError('unsupported', `attention: fused is not possible: ${reason}`, 'Set attention: auto.');
    return { isFused: false, text: `attention: chunked; ${reason}` };
  };
  if (!fusedAttention) return isAsked ? refuse(`${summary} has no kernel for it`) : { isFused: false };
  const program = planRun({ ...facts, fusesAttention: true }).program('none');
  const forms = attentionForms(program);
  if (forms.length === 0)
    return refuse('no attention of this run has a form that cuDNN computes (bfloat16, without dropout, packing, soft cap or sinks)');
  job.phase('compile', 'comparing attention as one kernel with attention in chunks');
  const { deviation, repeats, problem } = await checkForms(engine, forms, attend);
  if (problem !== undefined) return refuse(problem);
  const differs = repeats ? '' : '; its results are not the same to the bit from run to run';
  return {
    isFused: true,
    text: `attention: fused, ${attentionText(program)}; deviates from chunks by ${(100 * deviation).toFixed(2)}%${differs}`,
  };
}

/** Describes how many attention layers a training step computes as one kernel. */
function attentionText({ signatures }: Program): string {
  const counts = Object.values(signatures).map(
    ({ schedule }) => schedule.filter(node => isOp(node, 'attention') && node.attrs.of === 'output').length,
  );
  return `in ${Math.max(...counts)} layers`;
}
