/** Converts GGUF metadata to the equivalent config.json and generation_config.json. */

import type { ModelConfig } from '../model-config.ts';
import { clip, type FileProblem, ModelFileError } from '../model-file-error.ts';
import type { TensorInfo } from '../tensor-source.ts';
import type { FoundFamily, GgufFamily } from './families/gguf-families.ts';
import { LAYER_NORM_EPSILON, MTP_BLOCKS, ROTARY_FEATURES } from './families/gguf-family.ts';
import type { GgufValue } from './gguf-cursor.ts';
import type { GgufHeader } from './gguf-header.ts';
import { ggufKeyProblems } from './gguf-keys.ts';
import { blocksOfModel } from './gguf-layout.ts';
import { huggingFaceName } from './gguf-names.ts';
import type { RopeFactorsByLength } from './gguf-source.ts';
import { supportedFamily } from './gguf-unsupported.ts';
import { detectLlama3Scaling } from './rope-factors.ts';

/** llama.cpp's default. */
const DEFAULT_ROPE_THETA = 10000;
/** The same limit as in a config.json; some settings have one value per block. */
const MAX_BLOCKS = 512;
const RMS_NORM_EPSILON = 'attention.layer_norm_rms_epsilon';

/**
 * @param input.tensors by Hugging Face name: their presence or absence shows tied embeddings and biases
 * @param input.ropeFactors the tensor `rope_freqs.weight`, where Llama 3 files store their rotary scaling
 * @throws ModelFileError listing every missing or impossible setting, or for an architecture of another family
 */
export function ggufConfig(input: {
  readonly path: string;
  readonly header: GgufHeader;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly ropeFactors: Float32Array | undefined;
  readonly ropeFactorsByLength: RopeFactorsByLength | undefined;
}): ModelConfig {
  const { metadata } = input.header;
  const { architecture, family } = supportedFamily(input.path, metadata);
  const refused = ggufKeyProblems(metadata, architecture, family);
  if (refused.length > 0)
    throw new ModelFileError(
      input.path,
      refused.map(message => ({ message })),
      'Nothing is wrong with the file, but such a model is not computed here: use another one.',
    );
  const problems: FileProblem[] = [];
  const { list, optional, required } = numbersIn(metadata, { architecture, family }, problems);
  const heads = required('attention.head_count');
  const hidden = required('embedding_length');
  const [stated, context] = [required('block_count'), required('context_length')];
  if (stated > MAX_BLOCKS) problems.push({ message: `${architecture}.block_count ${stated} is above ${MAX_BLOCKS}` });
  const inModel = blocksOfModel(metadata, architecture, family);
  if (inModel !== stated && !(Number.isInteger(inModel) && inModel > 0 && inModel < stated))
    problems.push({ message: `${architecture}.${MTP_BLOCKS} is not a whole number below ${architecture}.block_count ${stated}` });
  const blocks = Math.min(Math.max(0, inModel), MAX_BLOCKS);
  const [keyLength, rotated] = [optional('attention.key_length'), optional(ROTARY_FEATURES)];
  const isPartial = family.computed.includes(ROTARY_FEATURES);
  const headDim = keyLength ?? (isPartial ? hidden / heads : (rotated ?? hidden / heads));
  if (!isPartial && keyLength !== undefined && rotated !== undefined && keyLength !== rotated)
    problems.push({
      message: `${architecture}.rope.dimension_count ${rotated} is not supported; supported is the head size, ${keyLength}`,
    });
  const isOfLayerNorms =
    family.computed.includes(LAYER_NORM_EPSILON) && !(family.hasRmsNorms && metadata.has(`${architecture}.${RMS_NORM_EPSILON}`));
  const epsilonKey = isOfLayerNorms ? LAYER_NORM_EPSILON : RMS_NORM_EPSILON;
  const epsilon = shortestFloat32(required(epsilonKey));
  const ropeTheta = optional('rope.freq_base') ?? DEFAULT_ROPE_THETA;
  const positions = { ...input, metadata, architecture, family, headDim, ropeTheta, optional, problems };
  const scaling = ropeScaling(family.ownPositions ? { ...positions, ropeFactors: undefined } : positions);
  if (family.ownPositions && scaling)
    problems.push({ message: `the rotary scaling ${String(scaling.rope_type)} is not supported for ${architecture}` });
  const config: Record<string, unknown> = {
    architectures: [family.class],
    model_type: family.modelType,
    hidden_size: hidden,
    intermediate_size: (family.hasNoMlps ? optional : required)('feed_forward_length'),
    num_hidden_layers: blocks,
    num_attention_heads: heads,
    num_key_value_heads: optional('attention.head_count_kv') ?? heads,
    head_dim: headDim,
    max_position_embeddings: context,
    rms_norm_eps: epsilon,
    rope_theta: shortestFloat32(ropeTheta),
    rope_scaling: scaling,
    ...(isPartial && rotated !== undefined && rotated !== headDim && { partial_rotary_factor: rotated / headDim }),
    ...(input.ropeFactorsByLength && { original_max_position_embeddings: optional('rope.scaling.original_context_length') ?? context }),
    vocab_size: input.tensors.get(huggingFaceName('token_embd.weight', family) ?? '')?.shape[0] ?? optional('vocab_size') ?? 0,
    tie_word_embeddings: !input.tensors.has('lm_head.weight'),
    ...family.settings({
      hidden,
      blocks,
      heads,
      headDim,
      epsilon,
      number: optional,
      list,
      shapeOf: name => input.tensors.get(name)?.shape,
      ropeFactors: input.ropeFactors,
      refuse: message => problems.push({ message }),
      isNothing: key => {
        const value = metadata.get(`${architecture}.${key}`);
        return value === 0 || value === false;
      },
      isTrue: key => metadata.get(`${architecture}.${key}`) === true,
      has: name => input.tensors.has(name),
    }),
    torch_dtype: 'float32',
    ...tokenIds(metadata),
  };
  if (problems.length > 0)
    throw new ModelFileError(input.path, problems, 'The file is damaged or was converted by an old tool: convert or download it again.');
  return config;
}

/** Functions that read an architecture's values; mistakes are added to the problems. */
function numbersIn(metadata: ReadonlyMap<string, GgufValue>, { architecture, family }: FoundFamily, problems: FileProblem[]) {
  const list = (key: string): readonly (number | boolean)[] | undefined => {
    const value = metadata.get(`${architecture}.${key}`);
    return Array.isArray(value) ? value.filter(each => typeof each === 'number' || typeof each === 'boolean') : undefined;
  };
  const optional = (key: string): number | undefined => {
    const whole = metadata.get(`${architecture}.${key}`);
    // If each block has its own value, take the first that is not 0.
    const value = family.lists?.includes(key) && Array.isArray(whole) ? list(key)?.find(Boolean) : whole;
    if (value === undefined) return undefined;
    if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value;
    problems.push({ message: `${architecture}.${key} is ${showValue(value)}, not a positive number` });
    return undefined;
  };
  const required = (key: string): number => {
    const value = optional(key);
    if (value === undefined && !metadata.has(`${architecture}.${key}`)) problems.push({ message: `${architecture}.${key} is missing` });
    return value ?? 0;
  };
  return { list, optional, required };
}

/** The begin, end and padding ids; a separate end-of-turn token also ends a text. */
export function ggufGenerationConfig(header: GgufHeader): ModelConfig {
  const ids = tokenIds(header.metadata);
  const eot = header.metadata.get('tokenizer.ggml.eot_token_id');
  const eos = [...new Set([ids.eos_token_id, eot].filter(id => typeof id === 'number'))];
  return { ...ids, ...(eos.length > 0 ? { eos_token_id: eos.length === 1 ? eos[0] : eos } : {}) };
}

function tokenIds(metadata: ReadonlyMap<string, GgufValue>): Record<string, number> {
  const ids: Record<string, number> = {};
  for (const [key, name] of [
    ['bos', 'bos_token_id'],
    ['eos', 'eos_token_id'],
    ['padding', 'pad_token_id'],
  ] as const) {
    const value = metadata.get(`tokenizer.ggml.${key}_token_id`);
    if (typeof value === 'number') ids[name] = value;
  }
  return ids;
}

function ropeScaling(input: {
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly architecture: string;
  readonly family: GgufFamily;
  readonly ropeFactors: Float32Array | undefined;
  readonly ropeFactorsByLength: RopeFactorsByLength | undefined;
  readonly headDim: number;
  readonly ropeTheta: number;
  readonly optional: (key: string) => number | undefined;
  readonly problems: FileProblem[];
}): Record<string, unknown> | null {
  const { ropeFactors, problems } = input;
  if (ropeFactors !== undefined) {
    const found = detectLlama3Scaling({ factors: ropeFactors, headDim: input.headDim, theta: input.ropeTheta });
    if (found === undefined) problems.push({ message: 'rope_freqs.weight holds frequency factors that no settings of Llama 3 give' });
    return found ?? null;
  }
  const type = input.metadata.get(`${input.architecture}.rope.scaling.type`) ?? 'none';
  if (input.ropeFactorsByLength) {
    const { short, long } = input.ropeFactorsByLength;
    const attention = input.optional('rope.scaling.attn_factor');
    const factors = { short_factor: [...short].map(shortestFloat32), long_factor: [...long].map(shortestFloat32) };
    return { rope_type: 'longrope', ...factors, ...(attention !== undefined && { attention_factor: shortestFloat32(attention) }) };
  }
  if (type === 'none') return null;
  const factor = input.optional('rope.scaling.factor') ?? 1;
  if (type === 'linear') return { rope_type: 'linear', factor };
  if (type === 'yarn') {
    const original = input.optional('rope.scaling.original_context_length');
    const betas = { beta_fast: input.optional('rope.scaling.yarn_beta_fast'), beta_slow: input.optional('rope.scaling.yarn_beta_slow') };
    const given = Object.fromEntries(Object.entries(betas).filter(([, value]) => value !== undefined));
    const own = input.family.yarn?.(input.optional) ?? {};
    return {
      rope_type: 'yarn',
      factor,
      ...given,
      ...own,
      ...(original === undefined ? {} : { original_max_position_embeddings: original }),
    };
  }
  problems.push({ message: `the rotary scaling ${showValue(type)} is not known` });
  return null;
}

const showValue = (value: GgufValue): string => clip(Array.isArray(value) ? `a list of ${value.length}` : String(value), 60);

/** The decimal value that people wrote: the file holds 1e-5 as the nearest float32, but people use at most seven digits. */
function shortestFloat32(value: number): number {
  const short = Number(value.toPrecision(7));
  return Math.fround(short) === Math.fround(value) ? short : value;
}
