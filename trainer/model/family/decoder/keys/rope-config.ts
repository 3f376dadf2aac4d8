/**
 * Reads the rotary positions: `rope_theta` and `rope_scaling` as Transformers 4 writes them, or `rope_parameters` as Transformers 5 does.
 */

import { z } from 'zod';
import { isOneOf } from '../../../../catalog/entries.ts';
import { isRecord, valueFor } from '../../../../narrow.ts';
import type { ConfigJson } from '../../../config-json.ts';
import {
  type ConfigValues,
  computed,
  contradiction,
  type KeyTable,
  notSupported,
  readRecord,
  refused,
  refusedUnless,
  unknownKeys,
  withoutEffect,
} from '../../../config-keys.ts';
import {
  longropeAttentionFactor,
  type Positions,
  type RopeScaling,
  ropeFrequencies,
  yarnAttentionFactor,
  yarnGrowth,
} from '../../../layer/positions/rope-scaling.ts';
import type { ConfigProblem } from '../../../model-spec.ts';
import { axesOf, type GridSections, sectionProblem } from './grid-sections.ts';

const positive = z.number().positive();
const share = positive.max(1);
/** Factors for pairs of features; a head has at most 1024 features. */
const factors = z.array(positive).max(512);
const types = ['default', 'linear', 'dynamic', 'llama3', 'yarn', 'longrope', 'proportional'] as const;
export type RopeType = (typeof types)[number];
/** The types of positions that do not depend on the length of a text. */
export const SAME_AT_ANY_LENGTH: readonly RopeType[] = ['default', 'linear', 'llama3', 'yarn'];

/** The keys inside `rope_scaling` and `rope_parameters`. */
export const ropeKeys = {
  rope_type: computed(z.string().nullish(), types),
  type: computed(z.string().nullish()),
  rope_theta: computed(positive.nullish()),
  factor: computed(positive.nullish()),
  low_freq_factor: computed(positive.nullish()),
  high_freq_factor: computed(positive.nullish()),
  original_max_position_embeddings: computed(positive.int().nullish()),
  attention_factor: computed(positive.nullish()),
  beta_fast: computed(positive.nullish()),
  beta_slow: computed(positive.nullish()),
  mscale: computed(z.number().nonnegative().nullish()),
  mscale_all_dim: computed(z.number().nonnegative().nullish()),
  truncate: computed(z.boolean().nullish()),
  short_factor: computed(factors.nullish()),
  long_factor: computed(factors.nullish()),
  partial_rotary_factor: computed(share.nullish()),
  llama_4_scaling_beta: computed(z.number().nonnegative().nullish()),
  alpha: computed(positive.nullish()),
  ...withoutEffect('is for versions that were tuned at more than one length', 'finetuned'),
  ...withoutEffect('says what the config itself says', 'max_position_embeddings'),
  ...refused('mrope_section', 'mrope_interleaved', 'full_attention', 'sliding_attention', 'chunked_attention'),
} as const satisfies KeyTable;

const inner = z.record(z.string(), z.unknown()).nullish();

/** The keys in the config itself. */
export const rotaryKeys = {
  rope_theta: computed(positive.nullish()),
  rope_scaling: computed(inner),
  rope_parameters: computed(inner),
  original_max_position_embeddings: computed(positive.int().nullish()),
  ...refusedUnless([1], 'partial_rotary_factor'),
} as const satisfies KeyTable;

export interface Rope extends Positions {
  /** The problems; if there are any, the other values are defaults. */
  readonly problems: readonly ConfigProblem[];
}

/** The record that applies, and its key: if the older one has any content, it takes precedence over the newer one, as in Transformers. */
function ropeOf(config: ConfigJson): [key: string, rope: ConfigJson] {
  const older = recordOf(config.rope_scaling);
  return Object.keys(older).length > 0 ? ['rope_scaling', older] : ['rope_parameters', recordOf(config.rope_parameters)];
}

/** Returns the default of a family whose configs may leave out all positions. @param rope the record that then applies */
export const ropeUnlessGiven =
  (rope: ConfigJson) =>
  ({ rope_scaling: older, rope_parameters: newer }: ConfigJson): ConfigJson =>
    older || newer ? {} : { rope_parameters: rope };

const recordOf = (value: unknown): ConfigJson => (isRecord(value) ? value : {});
const numberOf = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined);

/** The share of each head that rotates. @param config checked by `rotaryKeys` */
export const partialRotaryFactor = (config: ConfigJson): number =>
  numberOf(ropeOf(config)[1].partial_rotary_factor) ?? numberOf(config.partial_rotary_factor) ?? 1;

/** False if the config gives null in place of a base, which means positions without rotation in some families. */
export function hasRopeBase(config: ConfigJson): boolean {
  const { rope_theta: own } = ropeOf(config)[1];
  return (own === undefined ? config.rope_theta : own) !== null;
}

const DEFAULT_THETA = 10000;
const PLAIN: RopeScaling = { type: 'default' };

/** The parts of a model that its positions depend on. */
export interface RopeContext {
  readonly architecture: string;
  readonly maxPositions: number;
  readonly headDim: number;
  /** The default base; 10,000 if undefined. */
  readonly theta?: number | undefined;
  /** The types that the family supports; all by default. */
  readonly types?: readonly RopeType[] | undefined;
  /** Other names of types. */
  readonly aliases?: Readonly<Record<string, RopeType>> | undefined;
  /** True if a part of each head may stay unrotated. */
  readonly isPartial?: boolean | undefined;
  /** Set if the config divides the pairs of features among time, row and column of an image; a text has a single position in all three. */
  readonly grid?: GridSections | undefined;
  /** True if queries grow with their position, which the config must then describe. */
  readonly growsQueries?: boolean | undefined;
  /** True if the type "dynamic" may stretch the base by a fixed factor `alpha` for all lengths (NTK-aware scaling). */
  readonly stretchesBase?: boolean | undefined;
  /** Set for blocks with positions by type: only their record has the original length. */
  readonly isOfType?: boolean;
}

/**
 * @param config checked by `rotaryKeys`
 * @throws ModelConfigError listing every value that is out of bounds
 */
export function readRope(config: ConfigJson, context: RopeContext): Rope {
  const [key, rope] = ropeOf(config);
  const named = rope.rope_type ?? rope.type;
  const ofGrids = context.grid ? { mrope_section: null, mrope_interleaved: null } : {};
  const { values: c, problems } = readRecord(key, ropeKeys, context.architecture, {
    ...rope,
    ...ofGrids,
    rope_type: context.aliases?.[String(named)] ?? named,
  });
  const inside = problems.map((problem): ConfigProblem => {
    // `type` is the older name of `rope_type`.
    const isOlder = problem.path[1] === 'rope_type' && rope.rope_type === undefined;
    return isOlder ? { ...problem, path: [key, 'type'] } : problem;
  });
  const base = c.rope_theta ?? numberOf(config.rope_theta) ?? context.theta ?? DEFAULT_THETA;
  const alpha = context.stretchesBase && c.rope_type === 'dynamic' ? (c.alpha ?? undefined) : undefined;
  const theta = alpha === undefined ? base : base * alpha ** (context.headDim / (context.headDim - 2));
  const rotatedShare = partialRotaryFactor(config);
  const isProportional = rope.rope_type === 'proportional';
  const features = isProportional ? context.headDim : Math.floor(context.headDim * rotatedShare);
  const fallback: Positions = { theta, scaling: PLAIN, features: context.headDim, factor: 1 };
  if (inside.length > 0) return { ...fallback, problems: inside };
  const type = alpha === undefined ? (c.rope_type ?? 'default') : 'default';
  if (!isOneOf(types, type)) throw new TypeError(`${key}.rope_type ${type} was not refused`);
  const wrong = [
    ...typeProblems(key, type, context),
    ...missingKeys(key, type, c),
    ...(isProportional ? [] : partProblems(key, rotatedShare, features, context, c.partial_rotary_factor !== undefined)),
    ...growthProblems(key, c.llama_4_scaling_beta ?? undefined, context),
    ...(c.alpha && !context.stretchesBase ? [notSupported([key, 'alpha'], c.alpha, [])] : []),
    ...(type === 'longrope' ? lengthProblems(key, c, features) : []),
  ];
  if (wrong.length > 0) return { ...fallback, problems: wrong };
  const written =
    (context.isOfType ? undefined : numberOf(config.original_max_position_embeddings)) ??
    c.original_max_position_embeddings ??
    context.maxPositions;
  // Dynamic scaling starts at the model's own maximum length.
  const original = type === 'dynamic' ? context.maxPositions : written;
  const scaling = type === 'proportional' ? proportional(context.headDim, rotatedShare, c.factor) : scalingOf(type, c, original);
  const axes = context.grid && axesOf(rope, context.grid, features / 2);
  if (axes && axes.length !== features / 2) return { ...fallback, problems: [sectionProblem(key, rope.mrope_section, features / 2)] };
  const positions: Positions = {
    ...{ theta, scaling, features, factor: attentionFactor(type, c, context.maxPositions, original) },
    ...(c.llama_4_scaling_beta && { growth: { beta: c.llama_4_scaling_beta, span: original } }),
    ...(axes && { axes }),
  };
  return { ...positions, problems: finiteProblems(key, positions) };
}

const typeProblems = (key: string, type: RopeType, { types: possible }: RopeContext): ConfigProblem[] =>
  possible && !possible.includes(type) ? [notSupported([key, 'rope_type'], type, possible)] : [];

const purposes = {
  factor: 'how far positions are stretched',
  low_freq_factor: 'the wavelengths that are stretched whole',
  high_freq_factor: 'the wavelengths that are kept',
  short_factor: 'the factor of each pair of features in short texts',
  long_factor: 'the factor of each pair of features in long texts',
} as const;

/** Keys that Transformers requires to build the model. */
const needs: Readonly<Record<RopeType, readonly (keyof typeof purposes)[]>> = {
  default: [],
  linear: ['factor'],
  dynamic: ['factor'],
  llama3: ['factor', 'low_freq_factor', 'high_freq_factor'],
  yarn: ['factor'],
  longrope: ['short_factor', 'long_factor'],
  proportional: [],
};

const missingKeys = (key: string, type: RopeType, rope: ConfigValues<typeof ropeKeys>): ConfigProblem[] =>
  needs[type]
    .filter(name => !rope[name])
    .map(name => ({ kind: 'invalid', path: [key], message: `${key} of the type "${type}" needs ${name}: ${purposes[name]}` }));

/** @param ownKey whether it is in the record itself; outside, the family's keys determine whether it is supported */
function partProblems(
  key: string,
  rotatedShare: number,
  features: number,
  { isPartial, headDim }: RopeContext,
  ownKey: boolean,
): ConfigProblem[] {
  if (rotatedShare !== 1 && !isPartial) return ownKey ? [notSupported([key, 'partial_rotary_factor'], rotatedShare, [1])] : [];
  if (features > 0 && features % 2 === 0) return [];
  if (rotatedShare === 1) return []; // The head size itself is odd, which is reported separately.
  return [
    contradiction(
      [key, 'partial_rotary_factor'],
      `partial_rotary_factor ${rotatedShare} of a head of ${headDim} features rotates ${features}: rotary positions rotate pairs of features`,
    ),
  ];
}

function growthProblems(key: string, beta: number | undefined, { growsQueries = false }: RopeContext): ConfigProblem[] {
  if (growsQueries === (beta !== undefined)) return [];
  if (!growsQueries) return [notSupported([key, 'llama_4_scaling_beta'], beta, [])];
  return [{ kind: 'invalid', path: [key], message: `${key} needs llama_4_scaling_beta: how much queries grow with their position` }];
}

const lengthProblems = (key: string, rope: ConfigValues<typeof ropeKeys>, features: number): ConfigProblem[] =>
  (['short_factor', 'long_factor'] as const).flatMap(name => {
    const count = rope[name]?.length ?? 0;
    if (count === 0 || count === features / 2) return [];
    const message = `${key}.${name} has ${count} factors, and ${features} rotated features have ${features / 2} pairs: give one factor for each pair`;
    return [contradiction([key, name], message)];
  });

/** Checks that all frequencies are finite: an original length of 1, or factors near 0, would give infinite or undefined ones. */
const finiteProblems = (key: string, { features, theta, scaling, factor }: Positions): ConfigProblem[] =>
  [...ropeFrequencies(features, theta, scaling), factor].every(Number.isFinite)
    ? []
    : [contradiction([key], `${key} gives positions that are not finite: check its factors, its rope_theta and its original length`)];

/** Pairs beyond the share do not rotate; those within it rotate as if all did. */
const proportional = (headDim: number, share: number, factor: number | null | undefined): RopeScaling => ({
  type: 'proportional',
  pairs: Math.floor((headDim * share) / 2),
  factor: factor ?? 1,
});

function scalingOf(
  type: Exclude<RopeType, 'proportional'>,
  rope: ConfigValues<typeof ropeKeys>,
  originalMaxPositions: number,
): RopeScaling {
  const [factor, lowFreqFactor, highFreqFactor] = [rope.factor ?? 1, rope.low_freq_factor ?? 1, rope.high_freq_factor ?? 1];
  switch (type) {
    case 'default':
      return PLAIN;
    case 'linear':
      return { type, factor };
    case 'dynamic':
      return { type, factor, originalMaxPositions };
    case 'llama3':
      return { type, factor, lowFreqFactor, highFreqFactor, originalMaxPositions };
    case 'yarn': {
      const [betaFast, betaSlow] = [rope.beta_fast ?? 32, rope.beta_slow ?? 1];
      return { type, factor, betaFast, betaSlow, truncate: rope.truncate ?? true, originalMaxPositions };
    }
    case 'longrope':
      return { type, shortFactors: rope.short_factor ?? [], longFactors: rope.long_factor ?? [], originalMaxPositions };
  }
}

function attentionFactor(type: RopeType, rope: ConfigValues<typeof ropeKeys>, maxPositions: number, original: number): number {
  if (type !== 'yarn' && type !== 'longrope') return 1;
  if (rope.attention_factor) return rope.attention_factor;
  if (type === 'yarn') return yarnAttentionFactor(rope.factor ?? 1, rope.mscale ?? undefined, rope.mscale_all_dim ?? undefined);
  return longropeAttentionFactor(rope.factor ?? maxPositions / original, original);
}

/**
 * The factor on the scores of DeepSeek's attention, in addition to that of its tables: the square of YaRN's growth by `mscale_all_dim`, for
 * every type of positions except the default, as in Transformers.
 * @param config checked by `rotaryKeys`
 */
export function yarnScores(config: ConfigJson): number {
  const [, rope] = ropeOf(config);
  const weight = numberOf(rope.mscale_all_dim);
  if (!weight || (rope.rope_type ?? rope.type ?? 'default') === 'default') return 1;
  return yarnGrowth(numberOf(rope.factor) ?? 1, weight) ** 2;
}

/**
 * Reads rotary positions that differ between blocks only in their base.
 * @param thetas base of each block; 0 for one without rotation, which gets the positions of the config itself
 * @returns the positions of each block; blocks with the same base share one object
 * @throws ModelConfigError with every number that is out of bounds
 */
export function readRopesByBase(
  config: ConfigJson,
  context: RopeContext,
  thetas: readonly number[],
): { readonly positions: readonly Positions[]; readonly problems: readonly ConfigProblem[] } {
  const [key, rope] = ropeOf(config);
  const ropes = [...new Set(thetas)].map((theta): [number, Rope] => [
    theta,
    readRope(theta === 0 ? config : { ...config, [key]: { ...rope, rope_theta: theta } }, context),
  ]);
  const byBase = new Map(ropes.map(([theta, { problems: _, ...positions }]): [number, Positions] => [theta, positions]));
  const wrong = ropes.find(([, { problems }]) => problems.length > 0);
  return { positions: thetas.map(theta => valueFor(byBase, theta)), problems: wrong?.[1].problems ?? [] };
}

const LAYER_TYPES = ['full_attention', 'sliding_attention'] as const;
type LayerType = (typeof LAYER_TYPES)[number];

/** How blocks rotate according to their type. */
export interface RopesByType {
  readonly types: readonly LayerType[];
  /** The base of each type, if its record has none. */
  readonly thetas: Readonly<Record<LayerType, number>>;
  /** The head size of each type, if they differ. */
  readonly headDims?: Readonly<Partial<Record<LayerType, number>>>;
}

/**
 * Reads positions of blocks that rotate according to their type. An older `rope_scaling`, and a base outside the records, apply to full
 * attention.
 * @returns the positions of each block, with one object per type
 * @throws ModelConfigError listing every value that is out of bounds
 */
export function readRopesByType(
  config: ConfigJson,
  context: RopeContext,
  { types: layers, thetas, headDims }: RopesByType,
): { readonly positions: readonly Positions[]; readonly problems: readonly ConfigProblem[] } {
  const all = recordOf(config.rope_parameters);
  const strange = Object.keys(all).filter(key => !isOneOf(LAYER_TYPES, key));
  const problems = strange.map(key =>
    notSupported(['rope_parameters', key], all[key], `a record for each of ${LAYER_TYPES.join(' and ')}`),
  );
  const ropes = LAYER_TYPES.map((type): [LayerType, Rope] => {
    const older = type === 'full_attention' ? recordOf(config.rope_scaling) : {};
    const own = { rope_theta: thetas[type], ...recordOf(all[type]), ...older };
    const ofType = { ...context, headDim: headDims?.[type] ?? context.headDim, isOfType: true };
    return [type, readRope({ ...config, rope_scaling: null, rope_parameters: own }, ofType)];
  });
  const byType = new Map(ropes.map(([type, { problems: _, ...positions }]): [LayerType, Positions] => [type, positions]));
  const inside = ropes.flatMap(([type, rope]) =>
    rope.problems.map(
      ({ kind, path: [, ...rest], message }): ConfigProblem => ({
        kind,
        path: ['rope_parameters', type, ...rest],
        message: message.replace('rope_parameters', `rope_parameters.${type}`),
      }),
    ),
  );
  return { positions: layers.map(type => valueFor(byType, type)), problems: [...problems, ...inside] };
}

/** Returns the unknown keys of the record that applies. */
export function unknownRopeKeys(config: ConfigJson): string[][] {
  const [key, rope] = ropeOf(config);
  const byType = LAYER_TYPES.filter(type => typeof rope[type] === 'object' && rope[type] !== null);
  if (byType.length > 0) return byType.flatMap(type => unknownKeys(ropeKeys, recordOf(rope[type])).map(name => [key, type, name]));
  return unknownKeys(ropeKeys, rope).map(name => [key, name]);
}
