/** Before the first update: one evaluation and one save, so that what can fail fails now and not hours in. */
import { epochBatches } from '../train/data/batches.ts';
import { batchFeeds } from '../train/feeds.ts';
import { evalSignature } from '../train/train-program.ts';
import { checkpointBytes, removeCheckpoint, requireDisk, saveCheckpoint } from './checkpoint.ts';
import { type Evaluation, evaluate, evaluationMetrics } from './evaluate.ts';
import type { Job } from './job.ts';
import type { MemoryMeter } from './memory-meter.ts';
import { appendMetrics } from './metrics-file.ts';
import { largest, type Prepared } from './prepare.ts';
import { firstState } from './train-loop.ts';

export interface RehearseParams {
  readonly prepared: Prepared;
  readonly runDir: string;
  readonly job: Job;
  readonly memory: MemoryMeter;
}

/**
 * The evaluation is that of the untouched model and its numbers are kept.
 * @returns undefined without held-out data, or where the job was stopped
 */
export async function rehearse(params: RehearseParams): Promise<Evaluation | undefined> {
  const { prepared, runDir, job, memory } = params;
  const { recipe, session, attachment, program, evalSet, padId } = prepared;
  // A save stands beside those that are kept until it is complete.
  const bytes = checkpointBytes(attachment, program.optimizer);
  requireDisk(runDir, bytes * (recipe.save_total_limit + 1), `a run that keeps ${recipe.save_total_limit} checkpoints`);
  job.phase('rehearse', evalSet ? 'evaluating the model as it is' : 'one forward pass');
  const before = evalSet ? await evaluate({ session, set: evalSet, padId, job }) : await measureInference(prepared);
  memory.endInference();
  if (job.stop) return undefined;
  if (before) {
    const values = evaluationMetrics(before);
    await appendMetrics(runDir, { step: 0, epoch: 0, ...values });
    job.emit({ type: 'metrics', step: 0, values });
  }
  const state = firstState(prepared, before);
  const saved = await saveCheckpoint({
    runDir,
    session,
    attachment,
    optimizer: program.optimizer,
    adapter: { ...prepared.adapter, step: 0 },
    state,
  });
  await removeCheckpoint(saved);
  memory.skip();
  return before;
}

/** One forward pass of the largest batch, for what inference takes. */
export async function measureInference({ session, plan, evalSet, program, padId }: Prepared): Promise<undefined> {
  const from = evalSet?.plan ?? plan;
  const shape = largest(from);
  for (const batch of epochBatches(from, 0, padId)) {
    if (evalSet ? batch.bucket !== shape : batch.bucket.tokens !== shape.tokens || batch.bucket.targets !== shape.targets) continue;
    const labelPositions = new Int32Array(batch.bucket.batch);
    await session.run(evalSignature(batch.bucket), { ...batchFeeds(batch, 1, program.packed), labelPositions });
    return undefined;
  }
  return undefined;
}
