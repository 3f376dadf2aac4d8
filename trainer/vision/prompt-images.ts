/** The images of a prompt, for programs that read it in stretches and then continue it. */
import type { SampleImage } from '../data/vision/sample-image.ts';
import type { HostArray } from '../graph/types.ts';
import type { CausalModel } from '../model/model-spec.ts';
import type { VisionInput } from '../model/vision/vision-encoder.ts';
import { required } from '../narrow.ts';
import { type ImageFeeds, type ImageFeedsParams, imageFeeds } from './image-feeds.ts';

export interface PromptImages {
  /** Identifies the images; prompts with equal tokens and equal keys are the same. */
  readonly key: string;
  /** Index of the first token of an image. */
  readonly first: number;
  /** The feeds of the whole prompt, as one row: see `declareImages`. */
  readonly feeds: ImageFeeds;
  /** Number that is added to the count of tokens for the position of a token after the prompt. */
  readonly shift: number;
}

/** @param ids of the prompt, with the tokens of its images */
export async function promptImages(
  ids: readonly number[],
  images: readonly SampleImage[],
  params: ImageFeedsParams,
): Promise<PromptImages | undefined> {
  if (images.length === 0) return undefined;
  const { imageToken, positions: kind } = required(params.model.vision, 'a model that reads images');
  const tokens = ids.length;
  const row = { ids: Int32Array.from(ids), positions: Int32Array.from(ids, (_, i) => i), bucket: { batch: 1, tokens } };
  const feeds = await imageFeeds(row, images, params);
  const grid = feeds.imageGrid;
  const last = kind === 'grid' && grid ? grid.reduce((most: number, value) => Math.max(most, value), 0) : tokens - 1;
  return { key: images.map(({ key }) => key).join(), first: ids.indexOf(imageToken), feeds, shift: last + 1 - tokens };
}

/** The feeds of a stretch of a prompt: `count` tokens from `begin`, and padding up to `length`. */
export function stretchFeeds(
  { vision: given, hiddenSize }: Pick<CausalModel, 'vision' | 'hiddenSize'>,
  images: PromptImages | undefined,
  { begin, count, length }: { readonly begin: number; readonly count: number; readonly length: number },
): Record<string, HostArray> {
  const vision = required(given, 'a model that reads images');
  const sets = vision.deepstack + 1;
  const imageVectors = new Float32Array(sets * length * hiddenSize);
  const whole = images?.feeds.imageVectors;
  if (whole) {
    const stride = whole.length / sets;
    for (let set = 0; set < sets; set++) {
      const from = set * stride + begin * hiddenSize;
      imageVectors.set(whole.subarray(from, from + count * hiddenSize), set * length * hiddenSize);
    }
  }
  const ends = (i: number): number => (i < count ? images?.feeds.imageEnds?.[begin + i] : undefined) ?? begin + i;
  return {
    imageVectors,
    ...gridFeeds(vision, [images], [begin], length),
    ...(vision.attendsWithin && { imageEnds: Int32Array.from({ length }, (_, i) => ends(i)) }),
  };
}

/** Returns the end of a stretch of at most `length` tokens: before an image that does not fit, if images are read at once. */
export function stretchEnd(
  images: PromptImages | undefined,
  { begin, length }: { readonly begin: number; readonly length: number },
): number {
  const ends = images?.feeds.imageEnds;
  const most = begin + length;
  if (!ends || most >= ends.length) return most;
  const last = ends[most - 1] as number;
  if (last < most) return most;
  const first = ends.indexOf(last);
  return first > begin ? first : most;
}

/** Time, row and column of `length` tokens of each text, from the given counts on; empty for models without such positions. */
export function gridFeeds(
  { positions: kind }: VisionInput,
  texts: ReadonlyArray<PromptImages | undefined>,
  begins: readonly number[],
  length: number,
): Record<string, HostArray> {
  if (kind !== 'grid') return {};
  const imageGrid = new Int32Array(3 * texts.length * length);
  for (const [text, images] of texts.entries()) {
    const known = images?.feeds.imageGrid;
    const tokens = known ? known.length / 3 : 0;
    for (let axis = 0; axis < 3; axis++)
      for (let i = 0; i < length; i++) {
        const at = (begins[text] ?? 0) + i;
        imageGrid[(axis * texts.length + text) * length + i] =
          known && at < tokens ? (known[axis * tokens + at] ?? 0) : at + (images?.shift ?? 0);
      }
  }
  return { imageGrid };
}
