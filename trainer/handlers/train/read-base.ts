/** Runs the base model before an update, if the loss compares with it and its outputs were not computed earlier. */
import type { Batch } from '../../data/batch/batches.ts';
import { float32Of } from '../../graph/types.ts';
import { atLeast, elementAt, required } from '../../narrow.ts';
import { baseSignature, SWAP_START } from '../../train/base-pass.ts';
import { runOnEach } from '../../train/run-on-each.ts';
import type { Prepared } from './prepared.ts';

/**
 * Writes the base model's outputs into each batch. All batches of an update are computed together, so that the start values are swapped in
 * and out only once.
 * @param batches the batches of the update, each as the parts of the devices
 */
export async function readBase(
  { session, plan }: Pick<Prepared, 'session' | 'plan'>,
  batches: readonly (readonly Batch[])[],
): Promise<void> {
  const { starts } = plan.attachment;
  if (!starts) return;
  const swap = async (): Promise<void> => {
    if (starts.length > 0) await session.run(SWAP_START, {});
  };
  await swap();
  try {
    for (const each of batches) {
      const [{ bucket }] = atLeast(each, 1);
      const outputs = await runOnEach(
        session,
        baseSignature(bucket),
        each.map(({ feeds }) => feeds(1)),
      );
      for (const [part, { baseNll }] of each.entries()) {
        const { nll } = elementAt(outputs, part);
        required(baseNll, 'the array for the NLLs of the base').set(float32Of(required(nll, 'the losses of the base')));
      }
    }
  } finally {
    await swap();
  }
}
