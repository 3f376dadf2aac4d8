/** Runs one evaluation and one save before the first update, so that failures happen now and not hours later. */

import type { PlannedBatch } from '../../data/batch/batch-plan.ts';
import { type Evaluation, evaluationMetrics } from '../../job/evaluate.ts';
import type { MemoryMeter } from '../../job/memory-meter.ts';
import { exchangeMemory } from '../../plan/memory/exchange-buffers.ts';
import { checkpointBytes, requireDisk, saveCheckpoint } from '../../run/checkpoint/checkpoint.ts';
import { removeCheckpoint } from '../../run/checkpoint/checkpoint-folders.ts';
import { appendMetrics } from '../../run/metrics-file.ts';
import { evalSignature } from '../../train/train-program.ts';
import { evaluateStep } from './evaluate-step.ts';
import { largest, type Prepared } from './prepared.ts';
import type { RunScope } from './run-metrics.ts';
import { firstState } from './train-loop.ts';

export interface RehearseParams extends Pick<RunScope, 'job' | 'runDir'> {
  readonly prepared: Prepared;
  readonly memory: MemoryMeter;
  /** Whether another rank saves. */
  readonly follows?: boolean;
}

/**
 * Evaluates the original model and returns the result.
 * @returns undefined without held-out data, or if the job was stopped
 */
export async function rehearse(params: RehearseParams): Promise<Evaluation | undefined> {
  const { prepared, runDir, job, memory } = params;
  const { recipe, session, plan, evaluator } = prepared;
  const { attachment, optimizer } = plan;
  // A new checkpoint needs space in addition to the stored ones until it is complete.
  const bytes = checkpointBytes(attachment, optimizer) + (prepared.ranks?.size ?? 0) * exchangeMemory(plan).keptBytes;
  requireDisk(runDir, bytes * (recipe.save_total_limit + 1), `a run that keeps ${recipe.save_total_limit} checkpoints`);
  job.phase('rehearse', evaluator ? 'evaluating the original model' : 'one forward pass');
  const before = evaluator ? await evaluateStep({ prepared, evaluator, runDir, step: 0, job }) : await measureInference(prepared);
  memory.endInference();
  if (job.stop) return undefined;
  if (before) {
    const values = evaluationMetrics(before);
    await appendMetrics(runDir, { step: 0, epoch: 0, ...values });
    job.emit({ type: 'metrics', step: 0, values });
  }
  if (params.follows) {
    memory.skip();
    return before;
  }
  const state = firstState(prepared, before);
  const saved = await saveCheckpoint({
    runDir,
    session,
    attachment,
    optimizer,
    adapter: { ...prepared.adapter, step: 0 },
    state,
  });
  await removeCheckpoint(saved);
  memory.skip();
  return before;
}

/** Runs one forward pass of the largest batch, to measure inference. */
export async function measureInference({ session, source, evaluator }: Prepared): Promise<undefined> {
  const { plan, fill } = evaluator?.source ?? source;
  const shape = largest(plan);
  const isOfShape = ({ bucket }: PlannedBatch): boolean => bucket.tokens === shape.tokens && bucket.targets === shape.targets;
  // If samples are read on demand, any batch is used, in the largest shape.
  const [some] = plan.slice?.(0, 0, 1) ?? [];
  const planned = some ? { ...some, bucket: shape } : plan.epoch(0).find(isOfShape);
  if (!planned) return undefined;
  const batch = await fill(planned);
  await session.run(evalSignature(batch.bucket), { ...batch.feeds(1), ...evaluator?.extraFeeds(batch) });
  return undefined;
}
