/** A reward model that is loaded into the engine only while it scores. */
import type { Engine, Session } from '../../engine/engine.ts';
import { assemble } from '../../graph/program.ts';
import type { ClassifierModel } from '../../model/model-spec.ts';
import type { WeightSource } from '../../model/weight-source.ts';
import type { BatchShape } from '../../train/task.ts';
import { loadVariables, type StartValues, storedWeights } from '../../train/variables.ts';
import { rewardTraces } from './reward-program.ts';

export interface LoadedReward extends Pick<StartValues, 'attachment'> {
  readonly model: ClassifierModel;
  readonly weights: WeightSource;
  /** Values that the attachment adds. */
  readonly start?: StartValues['start'] | undefined;
  /** The shapes of the batches to score. */
  readonly shapes: readonly BatchShape[];
}

/** Compiles and loads the model, and releases it when `work` is done. */
export async function withRewardSession<T>(
  engine: Engine,
  { model, weights, attachment, start, shapes }: LoadedReward,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const session = await engine.compile({ ...assemble(rewardTraces(model, attachment, shapes)), places: attachment.hosted });
  try {
    await loadVariables(session, {
      model: storedWeights(model, weights, attachment),
      attachment,
      start,
    });
    return await work(session);
  } finally {
    await session.dispose();
  }
}
