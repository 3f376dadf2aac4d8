/**
 * The vision tower of Gemma 4: a transformer over the patches of an image, with learned and rotary positions by row and column. The means of
 * squares of patches become vectors.
 */

import { z } from 'zod';
import type { Node } from '../../../../graph/graph.ts';
import {
  type ConfigValues,
  computed,
  type KeyTable,
  multipleProblems,
  refuse,
  refused,
  refusedUnless,
  withoutEffect,
} from '../../../config-keys.ts';
import { activation, causalKeys, epsilon, size } from '../../../family/common-keys.ts';
import { textPart } from '../../../family/decoder/text-part.ts';
import { gatedActivation } from '../../../layer/activation.ts';
import { attend, paddingMask, splitHeads } from '../../../layer/attention/self-attention.ts';
import { rmsNorm } from '../../../layer/norm.ts';
import { type RotaryTables, rotate } from '../../../layer/positions/rotary.ts';
import { linearSpec, type ModuleSpec, normSpec, type ParameterSpec, parameterSpec, parametersOf } from '../../../module-specs.ts';
import type { Tracer } from '../../../tracer.ts';
import { gemma4Mmproj } from '../../mmproj/gemma4-mmproj.ts';
import { axialTables, queriesAtOnce } from '../../patches/gated-block.ts';
import { patchesOf } from '../../patches/patch-buckets.ts';
import { PROCESSOR_FILE } from '../../processor-keys.ts';
import { readTower } from '../../read-tower.ts';
import type { VisionEncoder, VisionFiles } from '../../vision-encoder.ts';
import { GEMMA4_IMAGE, gemma4Feeds, gemma4Grid, gemma4Layout, tableProblems } from './gemma4-processor.ts';

const CLASS = 'Gemma4ForConditionalGeneration';
const TOWER = 'model.vision_tower';

/** The base of the rotary positions, by default. */
const THETA = 100;

/** The keys of `vision_config`. */
export const gemma4TowerKeys = {
  ...causalKeys,
  hidden_size: computed(size(16384).default(768)),
  intermediate_size: computed(size(65536).default(3072)),
  num_hidden_layers: computed(size(256).default(16)),
  num_attention_heads: computed(size(256).default(12)),
  num_key_value_heads: computed(size(256).default(12)),
  head_dim: computed(size(1024).multipleOf(4).default(64)),
  hidden_activation: activation('gelu_pytorch_tanh'),
  rms_norm_eps: epsilon(1e-6),
  patch_size: computed(size(256).default(16)),
  pooling_kernel_size: computed(size(16).default(3)),
  position_embedding_size: computed(size(2 ** 20).default(10240)),
  use_clipped_linears: computed(z.boolean().default(false)),
  standardize: computed(z.boolean().default(false)),
  // Older files have another name for the same type.
  rope_parameters: computed(
    z
      .looseObject({ rope_theta: z.number().positive().default(THETA), rope_type: z.literal(['axial', 'default']).default('axial') })
      .nullish(),
  ),
  ...refusedUnless([THETA], 'rope_theta'),
  ...refused('rope_scaling', 'layer_types'),
  ...withoutEffect('is not read by Transformers either', 'attention_bias', 'max_position_embeddings', 'global_head_dim', 'pad_token_id'),
  ...withoutEffect('says what the processor says', 'default_output_length', 'image_seq_length', 'video_seq_length'),
  ...withoutEffect('is for training, and the encoder is frozen', 'attention_dropout'),
} as const satisfies KeyTable;

type TowerValues = ConfigValues<typeof gemma4TowerKeys>;

/** A linear layer whose inputs and outputs are clipped to limits of the file, in some models. */
interface ClippedLinear {
  readonly linear: ModuleSpec;
  /** Limits of the inputs and of the outputs, each []; none without clipping. */
  readonly limits: readonly ParameterSpec[];
}

interface TowerBlock {
  readonly q: ClippedLinear;
  readonly k: ClippedLinear;
  readonly v: ClippedLinear;
  readonly o: ClippedLinear;
  readonly gate: ClippedLinear;
  readonly up: ClippedLinear;
  readonly down: ClippedLinear;
  readonly qNorm: ModuleSpec;
  readonly kNorm: ModuleSpec;
  readonly beforeAttention: ModuleSpec;
  readonly afterAttention: ModuleSpec;
  readonly beforeMlp: ModuleSpec;
  readonly afterMlp: ModuleSpec;
}

const LIMITS = ['input_min', 'input_max', 'output_min', 'output_max'];

function blockOf(c: TowerValues, layer: number): TowerBlock {
  const at = `${TOWER}.encoder.layers.${layer}`;
  const { hidden_size: width, intermediate_size: inner, head_dim: headDim } = c;
  const [queries, keys] = [c.num_attention_heads * headDim, c.num_key_value_heads * headDim];
  const clipped = (part: 'attention' | 'mlp', name: string, out: number, into: number): ClippedLinear => ({
    linear: linearSpec(`${at}.${name}.linear`, { part, layer }, out, into, false),
    limits: c.use_clipped_linears ? LIMITS.map(limit => ({ name: `${at}.${name}.${limit}`, shape: [], buffer: true })) : [],
  });
  const attends = (name: string, out: number, into = width) => clipped('attention', `self_attn.${name}`, out, into);
  const feeds = (name: string, out: number, into: number) => clipped('mlp', `mlp.${name}`, out, into);
  const norm = (name: string, features = width) => normSpec(`${at}.${name}`, layer, features);
  return {
    q: attends('q_proj', queries),
    k: attends('k_proj', keys),
    v: attends('v_proj', keys),
    o: attends('o_proj', width, queries),
    gate: feeds('gate_proj', inner, width),
    up: feeds('up_proj', inner, width),
    down: feeds('down_proj', width, inner),
    qNorm: norm('self_attn.q_norm', headDim),
    kNorm: norm('self_attn.k_norm', headDim),
    beforeAttention: norm('input_layernorm'),
    afterAttention: norm('post_attention_layernorm'),
    beforeMlp: norm('pre_feedforward_layernorm'),
    afterMlp: norm('post_feedforward_layernorm'),
  };
}

const linearsOf = ({ q, k, v, o, gate, up, down }: TowerBlock): ClippedLinear[] => [q, k, v, o, gate, up, down];

const blockModules = (block: TowerBlock): ModuleSpec[] => [
  ...linearsOf(block).map(({ linear }) => linear),
  ...[block.qNorm, block.kNorm, block.beforeAttention, block.afterAttention, block.beforeMlp, block.afterMlp],
];

interface Parts {
  readonly c: TowerValues;
  readonly patches: ModuleSpec;
  /** [2, position_embedding_size, hidden_size]: for columns, then for rows. */
  readonly table: ModuleSpec;
  readonly blocks: readonly TowerBlock[];
  /** Subtracted from each vector, and multiplied with it, both [hidden_size]; none in some models. */
  readonly standards: readonly ParameterSpec[];
  readonly projection: ModuleSpec;
}

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported */
export function gemma4(files: VisionFiles): VisionEncoder {
  const { values: c, problems } = readTower(gemma4TowerKeys, CLASS, files.config);
  const { hiddenSize, vision } = textPart(CLASS, files.config);
  const { grid, problems: ofProcessor } = gemma4Grid(CLASS, files, c, vision?.tokensPerImage);
  const heads = ['num_attention_heads', c.num_attention_heads] as const;
  refuse(
    [
      ...problems,
      ...multipleProblems('num_attention_heads', heads, ['num_key_value_heads', c.num_key_value_heads]),
      ...tableProblems('position_embedding_size', c.position_embedding_size, grid.budget * grid.pooled),
    ],
    CLASS,
  );
  refuse(ofProcessor, CLASS, PROCESSOR_FILE);
  const parts = partsOf(c, hiddenSize);
  const { patches, table, blocks, standards, projection } = parts;
  const modules = [patches, table, ...blocks.flatMap(blockModules), projection];
  const limits = blocks.flatMap(linearsOf).flatMap(linear => linear.limits);
  const parameters = [...parametersOf(modules), ...limits, ...standards];
  return {
    parameters,
    modules,
    scale: grid.scale,
    placeholder: GEMMA4_IMAGE,
    layout: (image, maxPixels) => gemma4Layout(grid, image, maxPixels),
    shapeOf: view => patchesOf(view, grid.pooled),
    trace: (tracer, count) => vectorsOf(tracer, parts, count),
    feeds: (view, pixels) => gemma4Feeds(pixels, { patch: grid.patch, merged: grid.pooled, count: patchesOf(view, grid.pooled) }),
    mmproj: () =>
      gemma4Mmproj({
        parameters,
        sizes: {
          ...{ patch: grid.patch, hiddenSize: c.hidden_size, intermediateSize: c.intermediate_size, blocks: c.num_hidden_layers },
          ...{ heads: c.num_attention_heads, outputSize: hiddenSize, epsilon: c.rms_norm_eps, activation: c.hidden_activation },
        },
        kvHeads: c.num_key_value_heads,
        headDim: c.head_dim,
        theta: c.rope_parameters?.rope_theta ?? THETA,
        pooled: grid.pooled,
        scale: grid.scale,
      }),
  };
}

function partsOf(c: TowerValues, outputSize: number): Parts {
  const { hidden_size: width, patch_size: patch } = c;
  const place = { part: 'embedding', layer: -1 } as const;
  return {
    c,
    patches: linearSpec(`${TOWER}.patch_embedder.input_proj`, place, width, 3 * patch * patch, false),
    table: parameterSpec(`${TOWER}.patch_embedder.position_embedding_table`, [2, c.position_embedding_size, width]),
    blocks: Array.from({ length: c.num_hidden_layers }, (_, layer) => blockOf(c, layer)),
    standards: c.standardize ? ['std_bias', 'std_scale'].map(name => ({ name: `${TOWER}.${name}`, shape: [width], buffer: true })) : [],
    projection: linearSpec('model.embed_vision.embedding_projection', place, outputSize, width, false),
  };
}

/** [1, vectors, hiddenSize of the language model] */
function vectorsOf(tracer: Tracer, { c, patches, table, blocks, standards, projection }: Parts, count: number): Node {
  const { graph } = tracer;
  const { hidden_size: width, pooling_kernel_size: pooled, rms_norm_eps: eps } = c;
  const pixels = graph.feed('patches', [count, 3 * c.patch_size ** 2]);
  const mask = paddingMask(graph, graph.feed('seen', [1, count]));
  const { cos, sin } = axialTables(tracer, { headDim: c.head_dim, theta: c.rope_parameters?.rope_theta ?? THETA }, count);
  const quarter = c.head_dim / 4;
  const along = (axis: number): RotaryTables => {
    const own = (table: Node): Node => graph.sliceAxis(table, 1, axis * quarter, quarter);
    return { cos: own(cos), sin: own(sin) };
  };
  const tables = [along(1), along(0)];
  const places = graph.feed('at', [2, count], 'int32');
  const rows = graph.reshape(tracer.parameter(table.weight), [2 * c.position_embedding_size, width]);
  const positions = (axis: number, first: number): Node =>
    graph.gather(rows, graph.add(graph.reshape(graph.sliceAxis(places, 0, axis, 1), [count]), first));
  // Pixels from −1 to 1.
  const embedded = tracer.linear(patches, graph.sub(graph.mul(pixels, 2), 1));
  let x = graph.add(graph.add(embedded, positions(1, 0)), positions(0, c.position_embedding_size));
  for (const block of blocks) x = blockStates(tracer, c, block, x, { tables, mask });
  const vectors = count / pooled ** 2;
  const means = graph.mul(graph.mean(graph.reshape(x, [vectors, pooled ** 2, width]), [1]), width ** 0.5);
  const [bias, scale] = standards.map(spec => tracer.parameter(spec));
  const standard = bias && scale ? graph.mul(graph.sub(means, bias), scale) : means;
  const projected = tracer.linear(projection, rmsNorm(graph, { x: standard, epsilon: eps }));
  return graph.reshape(projected, [1, vectors, projected.shape[1] as number]);
}

interface Attended {
  /** Those of columns, then of rows. */
  readonly tables: readonly RotaryTables[];
  readonly mask: ReturnType<typeof paddingMask>;
}

/** x [patches, hidden_size] → the same shape. */
function blockStates(tracer: Tracer, c: TowerValues, block: TowerBlock, x: Node, { tables, mask }: Attended): Node {
  const { graph } = tracer;
  const { rms_norm_eps: epsilon, num_attention_heads: heads, num_key_value_heads: kvHeads, head_dim: headDim } = c;
  const clipped = ({ linear, limits }: ClippedLinear, y: Node): Node => {
    const [low, high, lowest, highest] = limits.map(spec => tracer.parameter(spec));
    if (!(low && high && lowest && highest)) return tracer.linear(linear, y);
    const product = tracer.linear(linear, graph.minimum(graph.maximum(y, low), high));
    return graph.minimum(graph.maximum(product, lowest), highest);
  };
  // The first half of a head rotates by the column of a patch, the other half by its row.
  const rotated = (y: Node): Node =>
    graph.concat(
      tables.map((table, axis) => rotate(graph, graph.sliceAxis(y, -1, (axis * headDim) / 2, headDim / 2), table)),
      -1,
    );
  const normal = tracer.rmsNorm(block.beforeAttention, x, epsilon);
  const byHead = (linear: ClippedLinear, count: number): Node => splitHeads(graph, clipped(linear, normal), { batch: 1, heads: count });
  const q = rotated(tracer.rmsNorm(block.qNorm, byHead(block.q, heads), epsilon));
  const k = rotated(tracer.rmsNorm(block.kNorm, byHead(block.k, kvHeads), epsilon));
  const v = rmsNorm(graph, { x: byHead(block.v, kvHeads), epsilon });
  const chunk = queriesAtOnce(heads, x.shape[0] as number);
  const attended = clipped(block.o, attend(tracer, { q, k, v, mask, scale: 1, dropout: 0, chunk }));
  const middle = graph.add(x, tracer.rmsNorm(block.afterAttention, attended, epsilon));
  const read = tracer.rmsNorm(block.beforeMlp, middle, epsilon);
  const inner = gatedActivation(c.hidden_activation)(graph, clipped(block.gate, read), clipped(block.up, read));
  return graph.add(middle, tracer.rmsNorm(block.afterMlp, clipped(block.down, inner), epsilon));
}
