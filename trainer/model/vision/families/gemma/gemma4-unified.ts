/**
 * How Gemma 4 without a tower reads images: each square of pixels is projected to a vector, to which learned embeddings of its column and
 * its row are added.
 */

import type { Node } from '../../../../graph/graph.ts';
import { type ConfigValues, computed, contradiction, type KeyTable, notSupported, refuse, withoutEffect } from '../../../config-keys.ts';
import { causalKeys, epsilon, size } from '../../../family/common-keys.ts';
import { same } from '../../../family/decoder/keys/decoder-keys.ts';
import { textPart } from '../../../family/decoder/text-part.ts';
import { rmsNorm } from '../../../layer/norm.ts';
import { layerNormSpec, linearSpec, type ModuleSpec, parameterSpec, parametersOf } from '../../../module-specs.ts';
import type { Tracer } from '../../../tracer.ts';
import { bucketOf } from '../../patches/patch-buckets.ts';
import { PROCESSOR_FILE } from '../../processor-keys.ts';
import { readTower } from '../../read-tower.ts';
import type { VisionEncoder, VisionFiles } from '../../vision-encoder.ts';
import { GEMMA4_IMAGE, gemma4Feeds, gemma4Grid, gemma4Layout, tableProblems } from './gemma4-processor.ts';

const CLASS = 'Gemma4UnifiedForConditionalGeneration';
const EYES = 'model.vision_embedder';
/** The epsilon of the layer norms. */
const EPSILON = 1e-5;

/** The keys of `vision_config`. */
export const gemma4UnifiedKeys = {
  ...causalKeys,
  patch_size: computed(size(256).default(16)),
  pooling_kernel_size: computed(size(16).default(3)),
  mm_embed_dim: computed(size(65536).default(3840)),
  mm_posemb_size: computed(size(2 ** 20).default(1120)),
  output_proj_dims: computed(size(65536).default(3840)),
  rms_norm_eps: epsilon(1e-6),
  model_patch_size: same(({ patch_size: patch = 16, pooling_kernel_size: pooled = 3 }) => Number(patch) * Number(pooled)),
  ...withoutEffect('says what the processor says', 'num_soft_tokens'),
  ...withoutEffect('is not read by Transformers either', 'pad_token_id'),
} as const satisfies KeyTable;

type Values = ConfigValues<typeof gemma4UnifiedKeys>;

function partsOf(
  { patch_size: patch, pooling_kernel_size: pooled, mm_embed_dim: width, mm_posemb_size: rows }: Values,
  outputSize: number,
) {
  const pixels = 3 * (patch * pooled) ** 2;
  const place = { part: 'embedding', layer: -1 } as const;
  return {
    before: layerNormSpec(`${EYES}.patch_ln1`, -1, pixels),
    dense: linearSpec(`${EYES}.patch_dense`, place, width, pixels),
    after: layerNormSpec(`${EYES}.patch_ln2`, -1, width),
    /** For each place along a side: the embedding of a column, then of a row. */
    table: parameterSpec(`${EYES}.pos_embedding`, [rows, 2, width]),
    placed: layerNormSpec(`${EYES}.pos_norm`, -1, width),
    projection: linearSpec('model.embed_vision.embedding_projection', place, outputSize, width, false),
  };
}

type Parts = ReturnType<typeof partsOf>;

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported */
export function gemma4Unified(files: VisionFiles): VisionEncoder {
  const { values: c, problems } = readTower(gemma4UnifiedKeys, CLASS, files.config);
  const { hiddenSize, vision, attention } = textPart(CLASS, files.config);
  const { grid, problems: ofProcessor } = gemma4Grid(CLASS, files, c, vision?.tokensPerImage);
  const unlike =
    c.output_proj_dims === c.mm_embed_dim
      ? []
      : [contradiction('output_proj_dims', `output_proj_dims ${c.output_proj_dims} is not mm_embed_dim ${c.mm_embed_dim}`)];
  const window = Math.min(...attention.layers.flatMap(layer => layer.window ?? []));
  // Transformers would let the tokens of an image see each other beyond the window.
  const beyond =
    vision?.attendsWithin && grid.budget > window
      ? [notSupported(['max_soft_tokens'], grid.budget, `at most sliding_window ${window}`)]
      : [];
  refuse([...problems, ...unlike, ...tableProblems('mm_posemb_size', c.mm_posemb_size, grid.budget)], CLASS);
  refuse([...ofProcessor, ...beyond], CLASS, PROCESSOR_FILE);
  const parts = partsOf(c, hiddenSize);
  const modules: ModuleSpec[] = Object.values(parts);
  const patch = grid.patch * grid.pooled;
  return {
    parameters: parametersOf(modules),
    modules,
    scale: grid.scale,
    placeholder: GEMMA4_IMAGE,
    layout: (image, maxPixels) => gemma4Layout(grid, image, maxPixels),
    shapeOf: ({ vectors }) => bucketOf(vectors),
    trace: (tracer, count) => vectorsOf(tracer, c, parts, count),
    feeds: ({ vectors }, pixels) => gemma4Feeds(pixels, { patch, merged: 1, count: bucketOf(vectors) }),
  };
}

/** [1, count, hiddenSize of the language model]. Padding is computed as other squares are, and not read. */
function vectorsOf(tracer: Tracer, c: Values, parts: Parts, count: number): Node {
  const { graph } = tracer;
  const { mm_embed_dim: width, mm_posemb_size: rows } = c;
  const pixels = graph.feed('patches', [count, 3 * (c.patch_size * c.pooling_kernel_size) ** 2]);
  const places = graph.feed('at', [2, count], 'int32');
  const table = graph.reshape(tracer.parameter(parts.table.weight), [2 * rows, width]);
  const positions = (axis: number, first: number): Node => {
    const along = graph.reshape(graph.sliceAxis(places, 0, axis, 1), [count]);
    return graph.gather(table, graph.add(graph.mul(along, 2), first));
  };
  const dense = tracer.linear(parts.dense, tracer.layerNorm(parts.before, pixels, EPSILON));
  const normal = tracer.layerNorm(parts.after, dense, EPSILON);
  const placed = tracer.layerNorm(parts.placed, graph.add(normal, graph.add(positions(1, 0), positions(0, 1))), EPSILON);
  const vectors = tracer.linear(parts.projection, rmsNorm(graph, { x: placed, epsilon: c.rms_norm_eps }));
  return graph.reshape(vectors, [1, count, vectors.shape[1] as number]);
}
