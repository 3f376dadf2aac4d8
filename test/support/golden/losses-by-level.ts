/** Computes the losses of a decoder at each recompute level. */
import type { Engine } from '../../../trainer/engine/engine.ts';
import { RECOMPUTE_POLICIES } from '../../../trainer/graph/recompute.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { methods } from '../../../trainer/method/methods.ts';
import type { CausalModel } from '../../../trainer/model/model-spec.ts';
import { weightStream } from '../../../trainer/model/weight-stream.ts';
import { causalTask } from '../../../trainer/objective/causal/causal-task.ts';
import { settingsOf } from '../models/method-settings.ts';
import { lossTrace, nextTokenFeeds } from './loss-trace.ts';

interface LevelsParams {
  readonly engine: Engine;
  readonly model: CausalModel;
  /** The folder with the weights. */
  readonly folder: string;
  /** Token ids of two texts, one after the other. */
  readonly ids: Int32Array;
}

/** Trains all weights from the start at each recompute level. @returns the losses of each level */
export async function lossesByLevel({ engine, model, folder, ids }: LevelsParams): Promise<(readonly number[])[]> {
  const { weights } = await openModel(folder);
  const tokens = ids.length / 2;
  const losses = [];
  for (const recompute of RECOMPUTE_POLICIES)
    losses.push(
      await lossTrace(engine, {
        ...{ task: causalTask(model), attachment: methods.full.attach(model, settingsOf({ seed: 0 }), new Map()), recompute, rate: 5e-3 },
        ...{ model: weightStream(model, weights), start: new Map(), shape: { batch: 2, tokens, targets: 2 * (tokens - 1) } },
        feeds: nextTokenFeeds(ids, tokens),
      }),
    );
  await weights.close();
  return losses;
}
