/**
 * The recipe: every setting, defined once. The type, the defaults, the JSON Schema and the documentation for hover and completion come from
 * `recipeFields`.
 */

import type { Fields, Given, Group, Resolved, Setting } from './setting.ts';
import { group, isGroup } from './setting.ts';
import { batchSettings, dataGroup, sampleSettings } from './settings/data-settings.ts';
import { distillationGroup } from './settings/distillation-settings.ts';
import { embeddingGroup } from './settings/embedding-settings.ts';
import { generationGroup } from './settings/generation-settings.ts';
import { importanceSettings, methodSettings, modelSettings } from './settings/model-settings.ts';
import { preferenceGroup } from './settings/preference-settings.ts';
import { runSettings } from './settings/run-settings.ts';
import { sweepGroup } from './settings/sweep-settings.ts';
import { optimizerSettings, scheduleSettings } from './settings/training-settings.ts';
import type { JsonSchema } from './value-type.ts';

/** The settings of a single run. */
const runFields = {
  ...modelSettings,
  ...methodSettings,
  data: dataGroup,
  ...sampleSettings,
  embedding: embeddingGroup,
  ...batchSettings,
  ...scheduleSettings,
  ...optimizerSettings,
  preference: preferenceGroup,
  distillation: distillationGroup,
  importance: group('How rows are scored and selected (spsft).', importanceSettings),
  ...runSettings,
  eval_generation: generationGroup,
} as const satisfies Fields;

/**
 * The settings in the order in which a recipe is written. A derived default reads settings above it, and below it those that the recipe
 * sets.
 */
export const recipeFields = { ...runFields, sweep: sweepGroup(Object.fromEntries(flatten(runFields, ''))) } as const satisfies Fields;

/**
 * A recipe with every default filled in. Settings that may have no value (`r` with full, `output_dir` …) are optional.
 */
export interface Recipe extends Resolved<typeof recipeFields> {}

type GroupIn<F extends Fields> = { [K in keyof F]: F[K] extends Group ? K : never }[keyof F];

/** The name of a group of settings. */
export type GroupName = GroupIn<typeof recipeFields>;

/** A recipe that is being written: all settings are valid or at their defaults, but the model may be missing. */
export type ResolvedRecipe = Partial<Recipe> & Omit<Recipe, 'model'>;

export type { Group, Setting } from './setting.ts';
export type { JsonSchema, ValueType } from './value-type.ts';

/** Every setting by its dotted path ("data.train"), in the order of the table. */
export const settings: Readonly<Record<string, Setting>> = Object.fromEntries(flatten(recipeFields, ''));

/** The groups by their path ("data"). */
export const groups: Readonly<Record<string, Group>> = Object.fromEntries(
  Object.entries<Setting | Group>(recipeFields).filter((entry): entry is [string, Group] => isGroup(entry[1])),
);

/** The value of a setting by its dotted path; undefined if the recipe has none. */
export function settingValue(recipe: object, path: string): unknown {
  let value: unknown = recipe;
  for (const key of path.split('.'))
    value = value !== null && typeof value === 'object' ? Object.entries(value).find(([name]) => name === key)?.[1] : undefined;
  return value;
}

/** The values of a recipe by their dotted paths, as defaults read them. */
export const givenBy = (recipe: object): Given =>
  Object.fromEntries(
    Object.keys(settings).flatMap(path => {
      const value = settingValue(recipe, path);
      return value === undefined ? [] : [[path, value]];
    }),
  );

/** The JSON Schema (draft 2020-12) of a recipe as it is written, before defaults. */
export function recipeJsonSchema(): JsonSchema {
  return { $schema: 'https://json-schema.org/draft/2020-12/schema', title: 'Rowtune recipe', ...fieldsSchema(recipeFields) };
}

function* flatten(fields: Fields, prefix: string): Generator<[string, Setting]> {
  for (const [name, entry] of Object.entries(fields)) {
    if (isGroup(entry)) yield* flatten(entry.fields, `${prefix}${name}.`);
    else yield [prefix + name, entry];
  }
}

function fieldsSchema(fields: Fields): JsonSchema {
  const entries = Object.entries(fields);
  const requiredNames = entries.filter(([, entry]) => !isGroup(entry) && entry.presence === 'required').map(([name]) => name);
  return {
    type: 'object',
    additionalProperties: false,
    properties: Object.fromEntries(entries.map(([name, entry]) => [name, entrySchema(entry)])),
    ...(requiredNames.length > 0 ? { required: requiredNames } : {}),
  };
}

function entrySchema(entry: Setting | Group): JsonSchema {
  if (isGroup(entry)) return { description: entry.doc, ...fieldsSchema(entry.fields) };
  const description = entry.memory === undefined ? entry.doc : `${entry.doc} Memory: ${entry.memory}`;
  return { ...entry.type.jsonSchema, description, ...(entry.fixedDefault === undefined ? {} : { default: entry.fixedDefault }) };
}
