/** Computes the loss of a batch and its gradients for all parameters, as training over mini-batches accumulates them. */
import type { Engine } from '../../../trainer/engine/engine.ts';
import { elementCount, float32Of, type HostArray } from '../../../trainer/graph/types.ts';
import { methods } from '../../../trainer/method/methods.ts';
import { required } from '../../../trainer/narrow.ts';
import { type CachedBatch, runCachedBatch } from '../../../trainer/train/cached-batch.ts';
import type { Task } from '../../../trainer/train/task.ts';
import { trainProgram } from '../../../trainer/train/train-program.ts';
import type { TrainProgramParams } from '../../../trainer/train/training-params.ts';
import { gradientVariable, updateGroups } from '../../../trainer/train/update-group.ts';
import { loadVariables, type StartValues } from '../../../trainer/train/variables.ts';
import { TRACE_OPTIMIZER } from '../golden/loss-trace.ts';
import { settingsOf } from '../models/method-settings.ts';

export interface CachedGradientsParams extends CachedBatch, Pick<StartValues, 'model'> {
  readonly task: Task;
}

/** @returns `loss`, and the gradient of each parameter by name */
export async function cachedGradients(
  engine: Engine,
  { task, model, ...batch }: CachedGradientsParams,
): Promise<Record<string, HostArray>> {
  const attachment = methods.full.attach(task.model, settingsOf({}), new Map());
  const optimizer = TRACE_OPTIMIZER;
  const program: TrainProgramParams = {
    ...{ task, attachment, optimizer, maxGradNorm: 0, accumulationSteps: 1, recompute: 'none' },
    ...{ trainShapes: [batch.shape], evalShapes: [] },
  };
  const session = await engine.compile(trainProgram(program));
  await loadVariables(session, { model, attachment, optimizer, accumulates: true });
  const found = await runCachedBatch(session, required(task.cached, 'the cached loss'), batch);
  for (const group of updateGroups(attachment.trainables, optimizer)) {
    const sums = float32Of(await session.read(gradientVariable(group).name));
    let start = 0;
    for (const { variable } of group.members) {
      found[variable.name] = sums.slice(start, start + elementCount(variable.shape));
      start += elementCount(variable.shape);
    }
  }
  await session.dispose();
  return found;
}
