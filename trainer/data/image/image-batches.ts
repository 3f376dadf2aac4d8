/** Batches of labeled images. The next batches are decoded while the current step runs: the decoder has its own threads. */
import type { ImagePreprocessing } from '../../format/image/image-preprocessing.ts';
import { createRandom, hashSeed } from '../../random.ts';
import type { BatchPlan, PlannedBatch } from '../batch/batch-plan.ts';
import type { Batch, BatchSource } from '../batch/batches.ts';
import { labelFeeds, weightOf } from '../batch/text-batches.ts';
import { DataError } from '../data-error.ts';
import type { ImageSample } from './image-samples.ts';
import { type Augmentation, loadImage } from './load-image.ts';

export interface LabeledImage extends ImageSample {
  /** Index of the label. */
  readonly target: number;
}

export interface ImageSourceParams {
  readonly plan: BatchPlan;
  readonly examples: readonly LabeledImage[];
  readonly preprocessing: ImagePreprocessing;
  readonly channels: number;
  readonly augment: readonly Augmentation[];
  readonly seed: number;
  /** The weight of each label in the loss; if left out, all weigh 1. */
  readonly classWeights?: readonly number[];
  /** Called for an image that does not decode and is therefore skipped. Without it, such an image is an error. */
  readonly onSkip?: (error: DataError) => void;
}

/** Number of batches that are decoded ahead: one that is ready, and one in reserve for a quick step. */
const AHEAD = 2;

/**
 * Reusable arrays by length: a new array for each batch would leave 20 to 30 MB of garbage at any time. Idle arrays, such as between two
 * evaluations, can be garbage collected.
 */
class PixelPool {
  private readonly free = new Map<number, WeakRef<Float32Array>[]>();

  /** Returns an array of zeros. */
  take(length: number): Float32Array {
    const free = this.free.get(length) ?? [];
    for (let ref = free.pop(); ref; ref = free.pop()) {
      const pixels = ref.deref();
      if (pixels) return pixels.fill(0);
    }
    return new Float32Array(length);
  }

  give(pixels: Float32Array): void {
    const free = this.free.get(pixels.length) ?? [];
    free.push(new WeakRef(pixels));
    this.free.set(pixels.length, free);
  }
}

export function imageSource(params: ImageSourceParams): BatchSource {
  const { plan } = params;
  const pool = new PixelPool();
  /** The arrays of batches that were not released yet. */
  const held = new WeakMap<Batch, Float32Array>();
  const start = async (planned: PlannedBatch): Promise<Batch> => {
    const { preprocessing, channels } = params;
    const pixels = pool.take(planned.bucket.batch * preprocessing.height * preprocessing.width * channels);
    const batch = await fillImages(params, planned, pixels);
    held.set(batch, pixels);
    return batch;
  };
  const begun = new Map<PlannedBatch, Promise<Batch>>();
  const begin = (planned: PlannedBatch): Promise<Batch> => {
    const running = begun.get(planned) ?? start(planned);
    begun.set(planned, running);
    // A caller that awaits it later sees the error; until then, this prevents an unhandled rejection.
    running.catch(() => undefined);
    return running;
  };
  const behind = (planned: PlannedBatch): readonly PlannedBatch[] => {
    const epoch = plan.epoch(planned.epoch);
    const at = epoch.indexOf(planned);
    return at < 0 ? [] : epoch.slice(at + 1, at + 1 + AHEAD);
  };
  return {
    plan,
    async fill(planned, following = behind(planned)) {
      const filling = begin(planned);
      for (const next of following.slice(0, AHEAD)) void begin(next);
      try {
        return await filling;
      } finally {
        begun.delete(planned);
      }
    },
    release(batch) {
      const pixels = held.get(batch);
      if (pixels && held.delete(batch)) pool.give(pixels);
    },
  };
}

/** Fills the feed of a batch. @param pixels [batch, height, width, channels] zeros; becomes the feed */
async function fillImages(
  params: ImageSourceParams,
  { bucket, rows, fillers = [], epoch }: PlannedBatch,
  pixels: Float32Array,
): Promise<Batch> {
  const { examples, preprocessing, channels, augment, seed, classWeights, onSkip } = params;
  const { batch } = bucket;
  const size = pixels.length / batch;
  const own = rows.flatMap(row => row.sequences);
  const indices = [...own, ...fillers.flatMap(row => row.sequences)];
  const loaded = await Promise.all(
    indices.map(async (index, row) => {
      const sample = examples[index];
      if (!sample) throw new RangeError(`no sample ${index} among ${examples.length}`);
      const random = createRandom(hashSeed(seed, 'augment'), epoch, index);
      try {
        await loadImage({ sample, preprocessing, channels, augment, random, into: pixels.subarray(row * size, (row + 1) * size) });
        return true;
      } catch (error) {
        if (!onSkip || !(error instanceof DataError)) throw error;
        onSkip(error);
        return false;
      }
    }),
  );
  const present = indices.filter((_, row) => loaded[row]);
  const kept = own.filter((_, row) => loaded[row]);
  const copyRow = (from: number, to: number) => pixels.copyWithin(to * size, from * size, (from + 1) * size);
  for (let row = 0, to = 0; row < indices.length; row++) if (loaded[row]) copyRow(row, to++);
  // Rows that only fill up the batch have weight 0 in the loss, but batch norm averages over all rows, so they repeat images.
  if (present.length > 0) for (let row = present.length; row < batch; row++) copyRow(row - present.length, row);
  const targets = kept.map(index => examples[index]?.target ?? 0);
  return {
    bucket,
    sampleIndices: kept,
    tokenCount: kept.length,
    targetCount: weightOf(targets, classWeights),
    feeds: of => ({ pixels, ...labelFeeds(targets, { batch, regression: false, classWeights, of }) }),
  };
}
