/** Reading a config.json: bounds, and errors that name every key at once. */
import { z } from 'zod';
import { activations } from '../layer/activation.ts';
import { ModelConfigError } from '../model-spec.ts';

/** Sizes beyond the bounds that a family gives are a broken file, not a model. */
export const size = (most: number) => z.number().int().positive().max(most);

/** A probability of dropping. */
export const rate = z.number().min(0).max(0.99);

/** The sizes that transformer encoders have in common, of text and of images; four times the largest published ones. */
export const encoderSizes = {
  hidden_size: size(16384),
  intermediate_size: size(65536),
  num_hidden_layers: size(256),
  num_attention_heads: size(256),
  hidden_act: z.string().default('gelu'),
  layer_norm_eps: z.number().positive().max(1).default(1e-12),
  initializer_range: z.number().positive().max(10).default(0.02),
};

/** @throws ModelConfigError with every key that is missing or out of bounds */
export function readConfig<Schema extends z.ZodType>(schema: Schema, architecture: string, json: unknown): z.infer<Schema> {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(issue => `${issue.path.join('.')}: ${issue.message}`).join('; ');
  throw new ModelConfigError(`config.json does not describe a ${architecture}: ${problems}`);
}

/** @throws ModelConfigError with all sentences, where there are any */
export function refuse(wrong: readonly string[]): void {
  if (wrong.length > 0) throw new ModelConfigError(`config.json contradicts itself: ${wrong.join('; ')}`);
}

/** What is wrong with the activation and the heads of an encoder. */
export function encoderProblems(c: { hidden_act: string; hidden_size: number; num_attention_heads: number }): string[] {
  return [
    ...activationProblems('hidden_act', c.hidden_act),
    ...(c.hidden_size % c.num_attention_heads
      ? [`hidden_size ${c.hidden_size} is no multiple of num_attention_heads ${c.num_attention_heads}`]
      : []),
  ];
}

export const activationProblems = (key: string, name: string): string[] =>
  Object.hasOwn(activations, name) ? [] : [`${key} "${name}" is not one of ${Object.keys(activations).join(', ')}`];

/** Keys that change what is computed, and the only values of them that are computed here; a key that is absent is right. */
export const unsupported = (json: Readonly<Record<string, unknown>>, keys: Readonly<Record<string, readonly unknown[]>>): string[] =>
  Object.entries(keys).flatMap(([key, allowed]) =>
    json[key] === undefined || json[key] === null || allowed.includes(json[key])
      ? []
      : [
          `${key} ${JSON.stringify(json[key])} is not supported; supported ${allowed.length > 1 ? 'are' : 'is'} ${allowed.map(value => JSON.stringify(value)).join(', ')}`,
        ],
  );
