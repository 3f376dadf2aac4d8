/**
 * The encoder of SmolVLM (Marafioti et al. 2025) and Idefics3 (Laurençon et al. 2024): SigLIP's tower sees square tiles of an image, and the
 * whole image in the size of a tile. Neighboring patches are joined to one vector.
 */

import { z } from 'zod';
import type { Node } from '../../../../graph/graph.ts';
import { computed, contradiction, type KeyTable, readConfig, refuse, withoutEffect } from '../../../config-keys.ts';
import { smolvlmImageKeys } from '../../../family/decoder/keys/image-text-keys.ts';
import { textPart } from '../../../family/decoder/text-part.ts';
import { siglipTower, smolvlmTowerKeys, squareProblems } from '../../../family/image/siglip-config.ts';
import { lastNorm, type Tower, towerOf, towerStream } from '../../../family/image/tower.ts';
import { siglipTowerNames } from '../../../family/image/vit-names.ts';
import { bucketedGrid } from '../../../layer/positions/bucketed-grid.ts';
import { linearSpec, type ModuleSpec, parametersOf } from '../../../module-specs.ts';
import type { Tracer } from '../../../tracer.ts';
import { mmprojSizes } from '../../mmproj/mmproj.ts';
import { smolvlmMmproj } from '../../mmproj/siglip-mmproj.ts';
import { PROCESSOR_FILE, pixelScale, processorKeys } from '../../processor-keys.ts';
import { readTower } from '../../read-tower.ts';
import type { ImageLayout, ImageSize, ImageView, VisionEncoder, VisionFiles } from '../../vision-encoder.ts';

export type SmolvlmArchitecture = 'SmolVLMForConditionalGeneration' | 'Idefics3ForConditionalGeneration';

const side = z.number().int().positive().max(16384);
const longestEdge = (usual: number) => computed(z.object({ longest_edge: side }).default({ longest_edge: usual }));

export const smolvlmProcessorKeys = {
  ...processorKeys({ mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], resample: 1 }),
  do_resize: computed(z.boolean().default(true)),
  do_image_splitting: computed(z.boolean().default(true)),
  size: longestEdge(4 * 364),
  max_image_size: longestEdge(364),
  ...withoutEffect('is for batches of images in several sizes, and tiles have one', 'do_pad', 'pad_size'),
  ...withoutEffect('is for videos, which are not read', 'video_sampling'),
  ...withoutEffect('names the class of the processor', 'image_processor_type'),
  ...withoutEffect('says what the texts around images say, which follows from the sizes', 'return_row_col_info', 'image_seq_len'),
} as const satisfies KeyTable;

/** Images are never larger than this, in pixels. */
const MAX_SIDE = 4096;
const PLACEHOLDER = '<image>';
const [TOWER, PROJECTION] = ['model.vision_model.', 'model.connector.modality_projection.proj'];
const AROUND = '<fake_token_around_image>';
const WHOLE = '<global-img>';

/** How images are cut into tiles. */
interface Tiling {
  /** The longest side to which images are resized first; undefined: not at all. */
  readonly longest: number | undefined;
  /** True if tiles are parts of the image; otherwise the only one is the whole image. */
  readonly splits: boolean;
  /** The side of a tile, in pixels. */
  readonly tile: number;
  /** Number of vectors of a tile. */
  readonly vectors: number;
}

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported */
export function smolvlm(
  architecture: 'SmolVLMForConditionalGeneration' | 'Idefics3ForConditionalGeneration',
  { config, processor }: VisionFiles,
): VisionEncoder {
  const { values: whole, problems } = readConfig(smolvlmImageKeys, architecture, config);
  const eyes = readTower(smolvlmTowerKeys, architecture, whole);
  const seen = readConfig(smolvlmProcessorKeys, architecture, processor, PROCESSOR_FILE);
  const [side] = eyes.values.image_size;
  const [patch] = eyes.values.patch_size;
  const tile = seen.values.max_image_size.longest_edge;
  const patches = Math.floor(tile / patch);
  const joined = whole.scale_factor;
  const uneven =
    patches === 0 || patches % joined
      ? [
          contradiction(
            'scale_factor',
            `tiles of ${tile} pixels have ${patches} patches per side, which is not a multiple of scale_factor ${joined}`,
          ),
        ]
      : [];
  refuse([...problems, ...eyes.problems, ...squareProblems(eyes.values), ...uneven], architecture);
  refuse(seen.problems, architecture, PROCESSOR_FILE);
  const tower = towerOf({
    ...siglipTower(eyes.values, siglipTowerNames(TOWER)),
    positions: {
      kind: 'table',
      grid: [patches, patches],
      firsts: 0,
      shape: [Math.floor(side / patch) ** 2, eyes.values.hidden_size],
      antialias: false,
      entries: bucketedGrid([patches, patches], Math.floor(side / patch)),
    },
  });
  const { hiddenSize: width } = textPart(architecture, config);
  const projection = linearSpec(PROJECTION, { part: 'mlp', layer: -1 }, width, eyes.values.hidden_size * joined ** 2, false);
  const modules = [...tower.modules, projection];
  const vectors = (patches / joined) ** 2;
  const { do_resize, do_image_splitting, size } = seen.values;
  const tiling = { longest: do_resize ? size.longest_edge : undefined, splits: do_image_splitting, tile, vectors };
  const parameters = parametersOf(modules);
  const scale = pixelScale(seen.values);
  const sizes = { ...mmprojSizes(tower.config), imageSize: side, patch, outputSize: width };
  const cut = { tile, longest: do_image_splitting ? tiling.longest : undefined, joined, projection: PROJECTION };
  return {
    parameters,
    modules,
    scale,
    placeholder: PLACEHOLDER,
    layout: (image, maxPixels) => layoutOf(image, withinPixels(image, tiling, maxPixels)),
    shapeOf: () => vectors,
    trace: tracer => trace(tracer, { tower, projection, tile, joined }),
    feeds: (_, { values }) => ({ pixels: values }),
    mmproj: () => smolvlmMmproj({ tower: TOWER, parameters, sizes, scale, ...cut }),
  };
}

interface Parts {
  readonly tower: Tower;
  readonly projection: ModuleSpec;
  readonly tile: number;
  /** Number of neighboring rows, and columns, of patches that are joined to one vector. */
  readonly joined: number;
}

function trace(tracer: Tracer, { tower, projection, tile, joined }: Parts): Node {
  const { graph } = tracer;
  const pixels = graph.feed('pixels', [1, tile, tile, tower.config.channels]);
  const states = lastNorm(tracer, towerStream(tracer, pixels, tower), tower);
  const { hiddenSize } = tower.config;
  const side = Math.sqrt((states.shape[1] as number) / joined ** 2);
  const squares = graph.transpose(graph.reshape(states, [side, joined, side, joined, hiddenSize]), [0, 2, 1, 3, 4]);
  const vectors = tracer.linear(projection, graph.reshape(squares, [side * side, joined ** 2 * hiddenSize]));
  return graph.reshape(vectors, [1, side * side, vectors.shape[1] as number]);
}

/** A tiling that makes the image smaller until its tiles have at most this many pixels, or one tile is left. */
function withinPixels(image: ImageSize, tiling: Tiling, maxPixels = Number.POSITIVE_INFINITY): Tiling {
  const { tile, splits } = tiling;
  if (!splits || pixelsOf(image, tiling) <= maxPixels) return tiling;
  let longest = tiling.longest ?? Math.max(image.width, image.height);
  do longest -= tile;
  while (longest > tile && pixelsOf(image, { ...tiling, longest }) > maxPixels);
  return { ...tiling, longest: Math.max(tile, longest) };
}

function pixelsOf(image: ImageSize, { longest, tile }: Tiling): number {
  const { width, height } = inTiles(firstSize(image, longest), tile);
  return width * height;
}

const firstSize = (image: ImageSize, longest: number | undefined): ImageSize =>
  longest === undefined ? image : withinSide(withLongestSide(image, longest), MAX_SIDE);

/** The tiles of an image, row by row, and the whole image after them; if there would be one tile, only that. */
function layoutOf(image: ImageSize, { longest, splits, tile, vectors }: Tiling): ImageLayout {
  const first = firstSize(image, longest);
  const square = { width: tile, height: tile };
  const whole = splits ? inTiles(first, tile) : square;
  const [rows, columns] = [whole.height / tile, whole.width / tile];
  const resizes = changes(image, [first, whole]);
  if (rows * columns === 1) return { text: `${AROUND}${WHOLE}${PLACEHOLDER.repeat(vectors)}${AROUND}`, views: [{ resizes, vectors }] };
  const places = Array.from({ length: rows }, (_, row) => Array.from({ length: columns }, (_, column) => ({ row, column })));
  const tiles = places
    .flat()
    .map(({ row, column }): ImageView => ({ resizes, part: { left: column * tile, top: row * tile, ...square }, vectors }));
  const written = places.map(
    each => `${each.map(({ row, column }) => `${AROUND}<row_${row + 1}_col_${column + 1}>${PLACEHOLDER.repeat(vectors)}`).join('')}\n`,
  );
  return {
    text: `${written.join('')}\n${AROUND}${WHOLE}${PLACEHOLDER.repeat(vectors)}${AROUND}`,
    views: [...tiles, { resizes: changes(image, [first, whole, square]), vectors }],
  };
}

/** The sizes without those that change nothing. */
const changes = (from: ImageSize, sizes: readonly ImageSize[]): ImageSize[] =>
  sizes.filter((each, i) => {
    const before = sizes[i - 1] ?? from;
    return each.width !== before.width || each.height !== before.height;
  });

/** Transformers divides by the ratio of the sides in float64 and cuts off what is behind the point; the shorter side then becomes even. */
function withLongestSide({ width, height }: ImageSize, longest: number): ImageSize {
  const ratio = width / height;
  const even = (side: number) => Math.max(side + (side % 2), 1);
  return width >= height
    ? { width: longest, height: even(Math.trunc(longest / ratio)) }
    : { width: even(Math.trunc(longest * ratio)), height: longest };
}

function withinSide(size: ImageSize, most: number): ImageSize {
  const { width, height } = size;
  const ratio = width / height;
  if (width >= height && width > most) return { width: most, height: Math.max(Math.trunc(most / ratio), 1) };
  if (height > width && height > most) return { width: Math.max(Math.trunc(most * ratio), 1), height: most };
  return size;
}

/** The next size whose sides are multiples of a tile's. */
function inTiles({ width, height }: ImageSize, tile: number): ImageSize {
  const ratio = width / height;
  const up = (side: number) => Math.ceil(side / tile) * tile;
  return width >= height
    ? { width: up(width), height: up(Math.trunc(up(width) / ratio)) }
    : { width: up(Math.trunc(up(height) * ratio)), height: up(height) };
}
