/** The feeds that bring the vectors of images into batches of text. */
import type { FurtherFeeds } from '../data/batch/answer-batches.ts';
import type { BatchSource, TokenBatch } from '../data/batch/batches.ts';
import type { List } from '../data/tokens/example-store.ts';
import type { TokenSequence } from '../data/types.ts';
import type { SampleImage } from '../data/vision/sample-image.ts';
import type { Graph, Node } from '../graph/graph.ts';
import type { CausalModel, ImageInputs } from '../model/model-spec.ts';
import { gridPositions } from '../model/vision/grid-positions.ts';
import { elementAt, required } from '../narrow.ts';
import type { ImageVectors } from './encode-images.ts';

/** Declares the feeds `imageVectors` [sets, batch, tokens, hiddenSize] and what else the model reads of images. */
export function declareImages(graph: Graph, model: CausalModel, ids: Node): ImageInputs {
  const vision = required(model.vision, 'a model that reads images');
  const [batch = 1, tokens = 1] = ids.shape;
  return {
    vectors: graph.feed('imageVectors', [vision.deepstack + 1, batch, tokens, model.hiddenSize]),
    isImage: graph.equal(ids, graph.constant(Int32Array.of(vision.imageToken), [1, 1], 'int32')),
    ...declareGrid(graph, model, ids),
    ...(vision.attendsWithin && { ends: graph.feed('imageEnds', [batch, tokens], 'int32') }),
  };
}

/** Declares the feed `imageGrid` of models with positions in two dimensions: all that a token after an image needs of it. */
export function declareGrid(graph: Graph, { vision }: CausalModel, ids: Node): Pick<ImageInputs, 'grid'> {
  const [batch = 1, tokens = 1] = ids.shape;
  return vision?.positions === 'grid' ? { grid: graph.feed('imageGrid', [3, batch, tokens], 'int32') } : {};
}

export interface ImageFeedsParams {
  readonly model: CausalModel;
  readonly vectors: ImageVectors;
}

interface SourceParams extends ImageFeedsParams {
  readonly source: BatchSource<TokenBatch>;
  readonly sequences: List<TokenSequence>;
}

/** Batches with the images of their samples. Feeds: those of the source, and those that `declareImages` names. */
export const imageSource = ({ source, sequences, ...params }: SourceParams): BatchSource<TokenBatch> => ({
  plan: source.plan,
  async fill(planned) {
    const batch = await source.fill(planned);
    const feeds = await feedsOfBatch(batch, sequences, params);
    return { ...batch, feeds: (of, further) => ({ ...batch.feeds(of, further), ...feeds }) };
  },
});

/** The feeds of the images of a batch. @param sequences those of `sampleIndices` */
export const feedsOfBatch = (
  batch: TokenBatch,
  sequences: Pick<List<TokenSequence>, 'at'>,
  params: ImageFeedsParams,
): Promise<ImageFeeds> =>
  imageFeeds(
    batch,
    batch.sampleIndices.flatMap(sample => sequences.at(sample)?.images ?? []),
    params,
  );

/** The feeds of the images of answers' prompts, for `answerSource`. */
export const imagesOfAnswers =
  (params: ImageFeedsParams): FurtherFeeds =>
  (batch, sequences) =>
    feedsOfBatch(batch, sequences, params);

/** The rows of a batch: where a text begins, its position is 0. */
export interface ImageRows extends Pick<TokenBatch, 'ids' | 'positions'> {
  readonly bucket: Pick<TokenBatch['bucket'], 'batch' | 'tokens'>;
}

/** The feeds that `declareImages` declares. */
export type ImageFeeds = {
  readonly imageVectors: Float32Array;
  readonly imageGrid?: Int32Array;
  readonly imageEnds?: Int32Array;
};

/** @param images all images of the batch, in the order of its tokens; an image whose tokens are cut off may be missing at the end of a text */
export async function imageFeeds(
  { ids, positions, bucket: { batch, tokens } }: ImageRows,
  images: readonly SampleImage[],
  { model, vectors }: ImageFeedsParams,
): Promise<ImageFeeds> {
  const vision = required(model.vision, 'a model that reads images');
  const { hiddenSize: width } = model;
  const sets = vision.deepstack + 1;
  const imageVectors = new Float32Array(sets * batch * tokens * width);
  const groups = new Int32Array(batch * tokens);
  let [place, left] = [0, 0];
  let found: Float32Array = new Float32Array(0);
  for (let at = 0; at < ids.length; at++) {
    if (ids[at] !== vision.imageToken) continue;
    if (left === 0) {
      const image = elementAt(images, place++);
      found = await vectors.read(image);
      left = image.vectors;
    }
    const count = found.length / sets;
    const from = count - left * width;
    for (let set = 0; set < sets; set++)
      imageVectors.set(found.subarray(set * count + from, set * count + from + width), (set * batch * tokens + at) * width);
    groups[at] = place;
    left--;
  }
  return {
    imageVectors,
    ...(vision.positions === 'grid' && { imageGrid: gridFeed({ ids, positions }, images, vision.imageToken) }),
    ...(vision.attendsWithin && { imageEnds: endsOf(groups, tokens) }),
  };
}

/**
 * The place in its row of the last token of the image that each token belongs to; its own for a token of the text.
 * @param groups the number of each token's image, from 1; 0 for text
 */
export function endsOf(groups: ArrayLike<number>, tokens: number): Int32Array {
  const ends = Int32Array.from(groups, (_, at) => at % tokens);
  for (let at = ends.length - 2; at >= 0; at--) {
    const continues = groups[at] !== 0 && groups[at] === groups[at + 1] && at % tokens < tokens - 1;
    if (continues) ends[at] = ends[at + 1] as number;
  }
  return ends;
}

/** Time, row and column of each token, [3, tokens of all rows]. */
function gridFeed(
  { ids, positions }: Pick<ImageRows, 'ids' | 'positions'>,
  images: readonly SampleImage[],
  imageToken: number,
): Int32Array {
  const grid = new Int32Array(3 * ids.length);
  let place = 0;
  for (let begin = 0; begin < ids.length; ) {
    let end = begin + 1;
    while (end < ids.length && positions[end] !== 0) end++;
    const text = ids.subarray(begin, end);
    const own: GridSize[] = [];
    let left = text.reduce((count, id) => count + Number(id === imageToken), 0);
    while (left > 0) {
      const image = elementAt(images, place++);
      own.push(required(image.grid, 'the rows and columns of an image'));
      left -= image.vectors;
    }
    const found = gridPositions(text, imageToken, own).positions;
    for (let axis = 0; axis < 3; axis++) grid.set(found.subarray(axis * text.length, (axis + 1) * text.length), axis * ids.length + begin);
    begin = end;
  }
  return grid;
}

type GridSize = NonNullable<SampleImage['grid']>;
