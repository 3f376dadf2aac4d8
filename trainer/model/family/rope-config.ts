/** Reads how positions are turned: `rope_theta` and `rope_scaling` as Transformers 4 writes them, `rope_parameters` as Transformers 5 does. */
import { z } from 'zod';
import {
  type ConfigValues,
  computed,
  type KeyTable,
  notSupported,
  readConfig,
  refused,
  refusedUnless,
  unknownKeys,
  withoutEffect,
} from '../config-keys.ts';
import type { Positions, RopeScaling } from '../layer/rotary.ts';
import type { ConfigJson } from '../load-model.ts';
import type { ConfigProblem } from '../model-spec.ts';

const positive = z.number().positive();
const types = ['default', 'linear', 'dynamic', 'llama3'] as const;
type RopeType = (typeof types)[number];

/** The keys inside `rope_scaling` and `rope_parameters`. */
export const ropeKeys = {
  rope_type: computed(z.string().nullish(), types),
  type: computed(z.string().nullish()),
  rope_theta: computed(positive.nullish()),
  factor: computed(positive.nullish()),
  low_freq_factor: computed(positive.nullish()),
  high_freq_factor: computed(positive.nullish()),
  original_max_position_embeddings: computed(positive.int().nullish()),
  ...withoutEffect(
    'is for yarn and longrope',
    ...(['attention_factor', 'beta_fast', 'beta_slow', 'mscale', 'mscale_all_dim', 'short_factor', 'long_factor', 'truncate'] as const),
    'finetuned',
  ),
  ...refusedUnless([1], 'partial_rotary_factor'),
  ...refused('mrope_section', 'mrope_interleaved', 'full_attention', 'sliding_attention', 'chunked_attention'),
} as const satisfies KeyTable;

const inner = z.record(z.string(), z.unknown()).nullish();

/** The keys of the config itself. */
export const rotaryKeys = {
  rope_theta: computed(positive.nullish()),
  rope_scaling: computed(inner),
  rope_parameters: computed(inner),
  original_max_position_embeddings: computed(positive.int().nullish()),
  ...refusedUnless([1], 'partial_rotary_factor'),
} as const satisfies KeyTable;

export interface Rope extends Positions {
  /** Where there are any, the rest stands for the default. */
  readonly problems: readonly ConfigProblem[];
}

/** The record that counts, and its key: an older one that says anything goes before the newer one, as in Transformers. */
function ropeOf(config: ConfigJson): [key: string, rope: ConfigJson] {
  const older = config.rope_scaling as ConfigJson | null | undefined;
  return older && Object.keys(older).length > 0
    ? ['rope_scaling', older]
    : ['rope_parameters', (config.rope_parameters ?? {}) as ConfigJson];
}

const DEFAULT_THETA = 10000;
const PLAIN: RopeScaling = { type: 'default' };

/**
 * @param config checked by `rotaryKeys`
 * @throws ModelConfigError with every number that is out of bounds
 */
export function readRope(config: ConfigJson, architecture: string, maxPositions: number, usualTheta = DEFAULT_THETA): Rope {
  const [key, rope] = ropeOf(config);
  const { values: c, problems } = readConfig(ropeKeys, architecture, { ...rope, rope_type: rope.rope_type ?? rope.type });
  const inside = problems.map(({ kind, path: [step = ''], message }): ConfigProblem => {
    // `type` is the older name of `rope_type`.
    const found = step === 'rope_type' && rope.rope_type === undefined ? 'type' : step;
    return { kind, path: [key, found], message: `${key}.${message}` };
  });
  const theta = c.rope_theta ?? (config.rope_theta as number | null | undefined) ?? usualTheta;
  if (inside.length > 0) return { theta, scaling: PLAIN, problems: inside };
  const type = (c.rope_type ?? 'default') as RopeType;
  const missing = needs[type]
    .filter(name => !c[name])
    .map(
      (name): ConfigProblem => ({ kind: 'invalid', path: [key], message: `${key} of the type "${type}" needs ${name}: ${purposes[name]}` }),
    );
  const original = (config.original_max_position_embeddings as number | null | undefined) ?? c.original_max_position_embeddings;
  return { theta, scaling: missing.length > 0 ? PLAIN : scalingOf(type, c, original ?? maxPositions), problems: missing };
}

const purposes = {
  factor: 'how far positions are stretched',
  low_freq_factor: 'the wavelengths that are stretched whole',
  high_freq_factor: 'the wavelengths that are kept',
} as const;

/** Without these Transformers does not build the model. */
const needs: Readonly<Record<RopeType, readonly (keyof typeof purposes)[]>> = {
  default: [],
  linear: ['factor'],
  dynamic: ['factor'],
  llama3: ['factor', 'low_freq_factor', 'high_freq_factor'],
};

function scalingOf(type: RopeType, rope: ConfigValues<typeof ropeKeys>, originalMaxPositions: number): RopeScaling {
  const [factor, lowFreqFactor, highFreqFactor] = [rope.factor ?? 1, rope.low_freq_factor ?? 1, rope.high_freq_factor ?? 1];
  switch (type) {
    case 'default':
    // Dynamic scaling changes nothing up to the model's own length, and longer inputs are refused.
    case 'dynamic':
      return PLAIN;
    case 'linear':
      return { type, factor };
    case 'llama3':
      return { type, factor, lowFreqFactor, highFreqFactor, originalMaxPositions };
  }
}

const LAYER_TYPES = ['full_attention', 'sliding_attention'] as const;
type LayerType = (typeof LAYER_TYPES)[number];

/**
 * For blocks that turn by their type. An older `rope_scaling`, and the base outside, are of full attention.
 * @param turns.types of the blocks
 * @param turns.thetas where the record of a type has none
 * @returns the positions of each block, those of a type shared
 * @throws ModelConfigError with every number that is out of bounds
 */
export function readRopesByLayer(
  config: ConfigJson,
  architecture: string,
  maxPositions: number,
  { types: layers, thetas }: { readonly types: readonly LayerType[]; readonly thetas: Readonly<Record<LayerType, number>> },
): { readonly positions: readonly Positions[]; readonly problems: readonly ConfigProblem[] } {
  const all = (config.rope_parameters ?? {}) as Readonly<Record<string, ConfigJson | null | undefined>>;
  const strange = Object.keys(all).filter(key => !(LAYER_TYPES as readonly string[]).includes(key));
  const problems = strange.map(key =>
    notSupported(['rope_parameters', key], all[key], `a record for each of ${LAYER_TYPES.join(' and ')}`),
  );
  const ropes = LAYER_TYPES.map((type): [LayerType, Rope] => {
    const older = type === 'full_attention' ? ((config.rope_scaling ?? {}) as ConfigJson) : {};
    const own = { rope_theta: thetas[type], ...all[type], ...older };
    return [type, readRope({ ...config, rope_scaling: null, rope_parameters: own }, architecture, maxPositions)];
  });
  const byType = new Map(ropes.map(([type, { theta, scaling }]) => [type, { theta, scaling }]));
  const inside = ropes.flatMap(([type, rope]) =>
    rope.problems.map(
      ({ kind, path: [, ...rest], message }): ConfigProblem => ({
        kind,
        path: ['rope_parameters', type, ...rest],
        message: message.replace('rope_parameters', `rope_parameters.${type}`),
      }),
    ),
  );
  return { positions: layers.map(type => byType.get(type) as Positions), problems: [...problems, ...inside] };
}

/** The keys of the record that counts which are not known. */
export function unknownRopeKeys(config: ConfigJson): string[][] {
  const [key, rope] = ropeOf(config);
  const byType = LAYER_TYPES.filter(type => typeof rope[type] === 'object' && rope[type] !== null);
  if (byType.length > 0) return byType.flatMap(type => unknownKeys(ropeKeys, rope[type] as ConfigJson).map(name => [key, type, name]));
  return typeof rope === 'object' ? unknownKeys(ropeKeys, rope).map(name => [key, name]) : [];
}
