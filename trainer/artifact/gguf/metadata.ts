/**
 * Converts config.json to the metadata of a GGUF file, and reads it back before anything is written: whatever the format cannot express is
 * refused.
 */

import { ggufClasses, ggufFamiliesOf } from '../../format/gguf/families/gguf-families.ts';
import { type GgufFamily, LAYER_NORM_EPSILON, type LayoutSizes, PATTERN, ROTATING, TURNS } from '../../format/gguf/families/gguf-family.ts';
import { CUTOFFS } from '../../format/gguf/families/gguf-gemma3n.ts';
import { UNROTATED_DIVISOR } from '../../format/gguf/families/gguf-gemma4.ts';
import { YARN_LOGARITHM, YARN_PART } from '../../format/gguf/families/gguf-latent.ts';
import { PARALLEL } from '../../format/gguf/families/gguf-layer-norms.ts';
import { ggufConfig } from '../../format/gguf/gguf-config.ts';
import type { GgufValue } from '../../format/gguf/gguf-cursor.ts';
import {
  boolEntry,
  boolsEntry,
  f32Entry,
  f32sEntry,
  type GgufEntry,
  i32sEntry,
  stringEntry,
  u32Entry,
} from '../../format/gguf/gguf-entries.ts';
import { type Llama3Scaling, llama3Factors } from '../../format/gguf/rope-factors.ts';
import type { ModelConfig } from '../../format/model-config.ts';
import { ModelFileError } from '../../format/model-file-error.ts';
import type { TensorInfo } from '../../format/tensor-source.ts';
import { attends } from '../../model/family/decoder/blocks/block.ts';
import type { AttentionShape, DecoderConfig } from '../../model/family/decoder/blocks/decoder-config.ts';
import { decoderConfig, type InnerArchitecture, isDecoder } from '../../model/family/decoder/decoder-families.ts';
import { innerDecoder, isTextPart } from '../../model/family/decoder/text-part.ts';
import type { Positions } from '../../model/layer/positions/rope-scaling.ts';
import { architectureOf } from '../../model/load-model.ts';
import type { VisionInput } from '../../model/vision/vision-encoder.ts';
import { elementAt, required } from '../../narrow.ts';
import { ExportError } from '../export-error.ts';
import { EXPERT_INTEGERS, expertSettings, expertsOf } from './expert-settings.ts';
import { GRID_INTEGERS, gridSettings } from './grid-settings.ts';
import { LATENT_INTEGERS, latentSettings } from './latent-settings.ts';
import { RECURRENT_INTEGERS, recurrentSettings } from './recurrent-settings.ts';
import { weightMultipliers, withMultipliedWeights } from './weight-multipliers.ts';

export interface DescribedModel {
  readonly family: GgufFamily & { readonly architecture: string };
  readonly decoder: DecoderConfig;
  /** Metadata of the architecture. */
  readonly entries: readonly GgufEntry[];
  /** Rotary factors by their names in the file: tensors that are not weights. */
  readonly factors: ReadonlyMap<string, Float32Array>;
  readonly sizes: LayoutSizes;
}

/**
 * Describes a model.
 * @param tensors the tensors to be written, by Hugging Face's names
 * @throws ExportError for a class without a name in llama.cpp, or a setting that its files cannot hold
 */
export function describeForGguf(whole: ModelConfig, tensors: ReadonlyMap<string, TensorInfo>): DescribedModel {
  const { className, config, families, vision } = decoderIn(whole);
  if (families.length === 0 || className === undefined)
    throw new ExportError(
      `${architectureOf(whole) ?? 'this model'} is not written to GGUF; written are ${ggufClasses.map(shortName).join(', ')}: export it as merged`,
    );
  const decoder: DecoderConfig = { ...decoderConfig(className, config), ...(vision && { vision }) };
  const full =
    decoder.positions.find((each, i) => each && decoder.attention.layers[i]?.window === undefined) ?? decoder.positions.find(Boolean);
  const family = required(families.find(each => suits(each, decoder)) ?? families[0], 'a family');
  if (full === undefined && !family.learnsPositions && !family.computed.includes(TURNS))
    throw new ExportError(`${className} without rotary positions is not written to GGUF: export it as merged`);
  const factors = full ? rotaryFactors(full, decoder, family) : new Map<string, Float32Array>();
  const values = settings({ config, decoder, full, family });
  const entries = [...values].map(([key, value]) => entryOf(`${family.architecture}.${key}`, value));
  const written = new Map<string, GgufValue>([['general.architecture', family.architecture]]);
  for (const [key, value] of values)
    written.set(`${family.architecture}.${key}`, typeof value === 'number' && !INTEGERS.has(key) ? Math.fround(value) : value);
  refuseLosses(className, withoutIgnored(decoder, family), readBack(written, tensors, factors));
  const multipliers = family.hasMultipliedWeights && weightMultipliers(decoder);
  return { family, decoder, entries, factors, sizes: { ...decoderSizes(decoder), rotated: full?.features, multipliers } };
}

/** True if a family fits a decoder: one class may have several names, with and without a state and experts. */
const suits = ({ layout, computed }: GgufFamily, { mamba, delta, experts }: DecoderConfig): boolean =>
  (layout !== undefined) === (mamba !== undefined || delta !== undefined) && computed.includes('expert_count') === (experts !== undefined);

/** True if llama.cpp has a name for the model, so that it can be written to GGUF. */
export const hasGgufName = (whole: ModelConfig): boolean => decoderIn(whole).families.length > 0;

/** A class name without its ending. */
const shortName = (className: string): string => className.replace(/(ForCausalLM|LMHeadModel|TextModel)$/, '');

interface WrittenDecoder {
  /** Undefined for a model that is not a decoder. */
  readonly className: InnerArchitecture | undefined;
  readonly config: ModelConfig;
  /** How images enter the text. */
  readonly vision: VisionInput | undefined;
  /** The families; empty for a class without a name in llama.cpp. */
  readonly families: readonly DescribedModel['family'][];
}

/** The decoder that llama.cpp computes; for a model that also sees images, its text part. */
function decoderIn(whole: ModelConfig): WrittenDecoder {
  const outer = architectureOf(whole);
  const inner = isTextPart(outer) ? innerDecoder(outer, whole) : undefined;
  const className = inner?.architecture ?? (isDecoder(outer) ? outer : undefined);
  const families = className === undefined ? [] : ggufFamiliesOf(className);
  return { className, config: inner?.config ?? whole, vision: inner?.vision, families };
}

type Setting = number | string | boolean | readonly boolean[] | readonly number[];

/** Keys with integer values; others are float32. */
const INTEGERS = new Set([
  'vocab_size',
  'context_length',
  'embedding_length',
  'block_count',
  'feed_forward_length',
  'attention.head_count',
  'attention.head_count_kv',
  'attention.key_length',
  'attention.value_length',
  'attention.key_length_swa',
  'attention.value_length_swa',
  'attention.shared_kv_layers',
  'embedding_length_per_layer_input',
  'altup.num_inputs',
  'altup.active_idx',
  'attention.sliding_window',
  ...EXPERT_INTEGERS,
  'rope.dimension_count',
  'rope.dimension_count_swa',
  'rope.scaling.original_context_length',
  ...RECURRENT_INTEGERS,
  ...LATENT_INTEGERS,
  ...GRID_INTEGERS,
]);

/** Keys with lists of float32. */
const FLOAT_LISTS = new Set([CUTOFFS]);

function entryOf(key: string, value: Setting): GgufEntry {
  if (typeof value === 'string') return stringEntry(key, value);
  if (typeof value === 'boolean') return boolEntry(key, value);
  if (typeof value !== 'number') {
    const numbers = value.filter(each => typeof each === 'number');
    if (numbers.length === 0) return boolsEntry(key, value.map(Boolean));
    return FLOAT_LISTS.has(key.slice(key.indexOf('.') + 1)) ? f32sEntry(key, numbers) : i32sEntry(key, numbers);
  }
  return INTEGERS.has(key.slice(key.indexOf('.') + 1)) ? u32Entry(key, value) : f32Entry(key, value);
}

interface Described {
  readonly config: ModelConfig;
  readonly decoder: DecoderConfig;
  /** The rotary embedding of blocks without a window; undefined if they have none. */
  readonly full: Positions | undefined;
  readonly family: GgufFamily;
}

function settings({ config, decoder, full, family }: Described): ReadonlyMap<string, Setting> {
  const { computed, ownPositions } = family;
  const { attention, positions } = decoder;
  const windows = attention.layers.map(({ window }) => window);
  const { headDim } = attention.layers.find(({ window }) => window === undefined) ?? decoderSizes(decoder);
  // If windowed blocks differ in more than the window, it is written even if no text is longer than it.
  const windowed = windows.findIndex(
    window => window !== undefined && (ownPositions || family.turnsByWindow || window < decoder.maxPositions),
  );
  const own: Readonly<Record<string, Setting | undefined>> = {
    'attention.sliding_window': windows[windowed],
    [PATTERN]: windowed < 0 && !ownPositions ? undefined : windows.map(window => window !== undefined),
    'rope.freq_base_swa': positions[windowed]?.theta,
    'rope.dimension_count_swa': positions[windowed]?.features,
    'attention.key_length_swa': attention.layers[windowed]?.headDim,
    'attention.value_length_swa': attention.layers[windowed]?.headDim,
    'attention.shared_kv_layers': attention.layers.filter(({ keysFrom }) => keysFrom !== undefined).length,
    embedding_length_per_layer_input: decoder.layerInputs?.width ?? 0,
    'altup.num_inputs': decoder.altUp?.streams,
    'altup.active_idx': decoder.altUp?.active,
    [CUTOFFS]: decoder.mlp.cutoffs?.map(cutoff => cutoff ?? Number.NEGATIVE_INFINITY),
    attn_logit_softcapping: attention.cap,
    final_logit_softcapping: decoder.logitCap,
    'attention.scale': attention.scale,
    embedding_scale: decoder.embeddingMultiplier.factor,
    residual_scale: decoder.residualMultiplier,
    logit_scale: family.multipliesLogits ? decoder.logitMultiplier : 1 / decoder.logitMultiplier,
    [LAYER_NORM_EPSILON]: decoder.norms.epsilon,
    [PARALLEL]: decoder.sideBySide,
    ...expertSettings(decoder),
    ...latentSettings(decoder),
    ...recurrentSettings(decoder),
    ...gridSettings(full, decoder, family),
    [TURNS]: positions.some(Boolean),
    [ROTATING]: positions.map(Boolean),
    'attention.temperature_scale': full?.growth?.beta,
    [YARN_LOGARITHM]: full?.scaling.type === 'yarn' ? logMultiplier(config, decoder) : undefined,
    'rope.scaling.attn_factor': full?.scaling.type === 'longrope' ? full.factor : undefined,
  };
  const all: Readonly<Record<string, Setting | undefined>> = {
    vocab_size: decoder.vocabularySize,
    context_length: decoder.maxPositions,
    embedding_length: decoder.hiddenSize,
    block_count: decoder.blocks,
    feed_forward_length: ofAll(mlpWidths(decoder)),
    'attention.head_count': attention.heads,
    'attention.head_count_kv': ofAll(
      attention.layers.map(({ kvHeads }, layer) => (decoder.delta || attends(decoder, layer) ? kvHeads : 0)),
    ),
    'attention.layer_norm_rms_epsilon': decoder.norms.centered ? undefined : decoder.norms.epsilon,
    'attention.key_length': headDim,
    'attention.value_length': headDim,
    'rope.dimension_count': full?.features,
    'rope.freq_base': full?.theta,
    ...(full && scalingSettings(full)),
    ...Object.fromEntries(Object.entries(own).filter(([key]) => computed.includes(key))),
  };
  return new Map(Object.entries(all).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])));
}

/** The width of each block's MLP: 0 without one, and that of an expert if all MLPs of such a family are experts. */
const mlpWidths = ({ parts, experts, mlp: { intermediateSizes } }: DecoderConfig): readonly number[] =>
  parts
    ? parts.map((part, i) => (part === 'mixer' ? 0 : (experts?.intermediateSize ?? elementAt(intermediateSizes, i))))
    : intermediateSizes;

/** A single number if all blocks have the same, otherwise the list. */
const ofAll = (numbers: readonly number[]): Setting => (new Set(numbers).size === 1 ? elementAt(numbers, 0) : numbers);

/**
 * The weight of YaRN's logarithm, as Transformers 5 and 4 write it, or the part of it that files with latent attention hold; GGUF stores it
 * separately from the factor that it implies.
 */
function logMultiplier({ rope_parameters: newer, rope_scaling: older }: ModelConfig, { latent }: DecoderConfig): number | undefined {
  const rope = newer ?? older;
  const found = typeof rope === 'object' && rope !== null && 'mscale_all_dim' in rope ? rope.mscale_all_dim : undefined;
  if (typeof found !== 'number') return undefined;
  return latent ? YARN_PART * found : found;
}

function scalingSettings({ scaling }: Positions): Readonly<Record<string, Setting>> {
  switch (scaling.type) {
    case 'default':
    case 'llama3':
    case 'dynamic':
    case 'proportional':
      return {};
    case 'linear':
      return { 'rope.scaling.type': 'linear', 'rope.scaling.factor': scaling.factor };
    case 'longrope':
      return { 'rope.scaling.type': 'longrope', 'rope.scaling.original_context_length': scaling.originalMaxPositions };
    case 'yarn':
      return {
        'rope.scaling.type': 'yarn',
        'rope.scaling.factor': scaling.factor,
        'rope.scaling.original_context_length': scaling.originalMaxPositions,
        'rope.scaling.yarn_beta_fast': scaling.betaFast,
        'rope.scaling.yarn_beta_slow': scaling.betaSlow,
      };
  }
}

/** The sizes of the first block, which apply to all blocks in families whose files have a single value. */
function decoderSizes({ attention, delta, mamba }: DecoderConfig): LayoutSizes & Pick<AttentionShape, 'headDim'> {
  const { kvHeads, headDim } = elementAt(attention.layers, 0);
  return { heads: attention.heads, kvHeads, headDim, state: delta ?? (mamba && { keyHeads: mamba.groups, heads: mamba.heads }) };
}

function rotaryFactors(
  { scaling, theta, features }: Positions,
  decoder: DecoderConfig,
  { ownPositions, ignoresFrequencyFactors }: GgufFamily,
): ReadonlyMap<string, Float32Array> {
  if (ignoresFrequencyFactors) return new Map();
  if (scaling.type === 'longrope')
    return new Map([
      ['rope_factors_short.weight', Float32Array.from(scaling.shortFactors)],
      ['rope_factors_long.weight', Float32Array.from(scaling.longFactors)],
    ]);
  if (scaling.type === 'proportional' && ownPositions) {
    const { pairs, factor } = scaling;
    return new Map([
      ['rope_freqs.weight', Float32Array.from({ length: features / 2 }, (_, i) => (i < pairs ? factor : UNROTATED_DIVISOR))],
    ]);
  }
  if (scaling.type !== 'llama3') return new Map();
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = scaling;
  const own: Llama3Scaling = {
    rope_type: 'llama3',
    factor,
    low_freq_factor: lowFreqFactor,
    high_freq_factor: highFreqFactor,
    original_max_position_embeddings: originalMaxPositions,
  };
  return new Map([['rope_freqs.weight', llama3Factors({ scaling: own, headDim: decoderSizes(decoder).headDim, theta })]]);
}

/** The model that the file will describe, as this program reads it. */
function readBack(
  metadata: ReadonlyMap<string, GgufValue>,
  tensors: ReadonlyMap<string, TensorInfo>,
  factors: ReadonlyMap<string, Float32Array>,
): DecoderConfig {
  const [short, long] = [factors.get('rope_factors_short.weight'), factors.get('rope_factors_long.weight')];
  const read = (): ModelConfig =>
    ggufConfig({
      path: 'the export',
      header: { version: 3, metadata, tensors: [] },
      tensors,
      ropeFactors: factors.get('rope_freqs.weight'),
      ropeFactorsByLength: short && long && { short, long },
    });
  const config = asExportError(read);
  const className = architectureOf(config);
  if (!isDecoder(className)) throw new ExportError(`llama.cpp would read the file as ${className}, which is not a decoder`);
  return decoderConfig(className, config);
}

/** Calls a function; a key of the metadata that it refuses is one that llama.cpp does not compute. */
function asExportError<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ModelFileError)) throw error;
    throw new ExportError(
      `llama.cpp would compute something else: ${error.problems.map(({ message }) => message).join('; ')}: export it as merged`,
    );
  }
}

/** The parts of a decoder that affect its function, with their names in messages. */
const PARTS: readonly (readonly [string, (decoder: DecoderConfig) => unknown])[] = [
  ['the sizes', d => [d.vocabularySize, d.hiddenSize, d.blocks, d.maxPositions, mlpWidths(d)]],
  ['the heads', d => [d.attention.heads, d.attention.layers.map(({ window: _, ...heads }) => heads)]],
  ['the latent attention', d => d.latent],
  ['the recurrent state', d => [d.delta, d.convolution, d.mamba && { ...d.mamba, chunk: 0 }, d.parts]],
  ['the biases', d => [d.attention.biases, d.mlp.biased]],
  ['the norms', d => [d.norms, d.attention.innerNorms, d.attention.normsValues, d.sideBySide]],
  ['the activation', d => [d.mlp.activation, d.mlp.cutoffs]],
  ['the attention windows', d => d.attention.layers.map(({ window }) => (window !== undefined && window < d.maxPositions ? window : 0))],
  ['the attention scale', d => [d.attention.scale, d.attention.dividesByLayer, d.attention.cap, d.attention.sinks]],
  // How pairs of features follow the places of images is checked where it is written.
  ['the rotary positions', d => [d.positions.map(own => own && { ...own, axes: undefined }), d.attention.rotatesNeighbors]],
  ['the multipliers', d => [d.embeddingMultiplier, d.residualMultiplier, d.logitMultiplier, d.logitCap, d.scalesBlocks]],
  ['the inputs of each layer', d => d.layerInputs],
  ['the streams of states', d => [d.altUp, d.laurelRank]],
  ['the output head', d => [d.tied, d.headBias]],
  ['the experts', expertsOf],
];

/** The decoder without what llama.cpp ignores, or has in its weights. */
function withoutIgnored(decoder: DecoderConfig, { ignoresLeastStep, hasMultipliedWeights }: GgufFamily): DecoderConfig {
  const { mamba } = decoder;
  const own = ignoresLeastStep && mamba ? { ...decoder, mamba: { ...mamba, steps: { ...mamba.steps, least: 0 } } } : decoder;
  return hasMultipliedWeights ? withMultipliedWeights(own) : own;
}

function refuseLosses(className: string, decoder: DecoderConfig, found: DecoderConfig): void {
  const lost = PARTS.filter(([, part]) => !isSame(part(decoder), part(found))).map(([name]) => name);
  if (lost.length === 0) return;
  throw new ExportError(
    `a GGUF file cannot hold ${lost.join(', ')} of this ${shortName(className)}, so llama.cpp would compute something else: export it as merged`,
  );
}

/** Tolerance for values that are float32 in the file. */
const TOLERANCE = 1e-6;

function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a === 'number' && typeof b === 'number') return Math.abs(a - b) <= TOLERANCE * Math.max(Math.abs(a), Math.abs(b));
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  const [x, y] = [new Map<string, unknown>(Object.entries(a)), new Map<string, unknown>(Object.entries(b))];
  return [...new Set([...x.keys(), ...y.keys()])].every(key => isSame(x.get(key), y.get(key)));
}
