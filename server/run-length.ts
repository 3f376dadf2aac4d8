/** The number of updates of a run, from the samples of its data and the batch size. Pure. */
import type { RecipeView } from '../trainer/lint/recipe-view.ts';
import { counted, grouped } from '../trainer/protocol/text/format.ts';

export interface RunLength {
  /** The text of the hint: "≈ 150 updates (50 per epoch)". */
  readonly label: string;
  /** How the number was computed. */
  readonly tooltip: string;
}

/**
 * Returns undefined if the number of samples does not follow from counting lines: packed data, plain text, folders. The result is
 * approximate: batches contain samples of similar length, so the last batch of each length may be short.
 */
export function runLength({ data, values }: RecipeView): RunLength | undefined {
  const {
    num_train_epochs: epochs,
    max_steps: most,
    per_device_train_batch_size: batch,
    gradient_accumulation_steps: accumulated,
  } = values;
  const samples = samplesOf(data, values);
  if (samples === undefined || samples.trained < 1) return undefined;
  const perEpoch = Math.ceil(Math.ceil(samples.trained / batch) / accumulated);
  const held = samples.heldOut > 0 ? `, ${grouped(samples.heldOut)} held out` : '';
  const times = accumulated > 1 ? `, ${accumulated} batches per update` : '';
  const tooltip = `${samples.isExact ? '' : 'about '}${grouped(samples.trained)} samples${held}, batches of ${batch}${times}`;
  if (most > 0) return { label: `≈ ${counted(Number((most / perEpoch).toPrecision(2)), 'epoch')}`, tooltip };
  const all = Math.ceil(epochs * perEpoch);
  return { label: `≈ ${counted(all, 'update')} (${grouped(perEpoch)} per epoch)`, tooltip };
}

function samplesOf(
  data: RecipeView['data'],
  values: RecipeView['values'],
): { readonly trained: number; readonly heldOut: number; readonly isExact: boolean } | undefined {
  const train = data.slice(0, values.data.train.length);
  if (values.packing || train.length === 0 || train.length < values.data.train.length) return undefined;
  let count = 0;
  let isExact = true;
  for (const { rows, format, bytes = 0 } of train) {
    // A token has at least one byte, so texts with more bytes than this are cut into several samples.
    if (rows === undefined || (format === 'text' && bytes > rows.count * values.max_length)) return undefined;
    count += rows.count;
    isExact &&= rows.isExact;
  }
  const used = Math.min(count, values.data.max_samples ?? count);
  const { val_size: share } = values;
  const heldOut = values.data.eval.length > 0 ? 0 : share < 1 ? Math.round(share * used) : Math.min(share, used);
  return { trained: used - heldOut, heldOut, isExact };
}
