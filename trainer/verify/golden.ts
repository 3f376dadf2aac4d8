/** The file `golden.json` of a model folder: inputs, and PyTorch's results for them. */

import { z } from 'zod';
import { readRegularText } from '../files/regular-file.ts';
import { type KnownTokens, unknownToken } from '../model/known-tokens.ts';
import { messageOf } from '../protocol/error-facts.ts';

/** Maximum size of a reference file, which is small by design. */
const MAX_GOLDEN_BYTES = 64 * 2 ** 20;

const tensor = z
  .object({ shape: z.array(z.number().int().positive()), data: z.array(z.number()) })
  .refine(({ shape, data }) => shape.reduce((n, d) => n * d, 1) === data.length, 'the data does not fill the shape');

/** The Euclidean norm of each tensor, and its first elements. */
const norms = z.record(z.string(), z.looseObject({ l2: z.number(), first4: z.array(z.number()) }));

const result = {
  loss: z.number(),
  logits: tensor,
  grads: norms,
};

const goldenSchema = z.looseObject({
  model: z.string(),
  inputs: z
    .looseObject({
      input_ids: tensor.optional(),
      attention_mask: tensor.optional(),
      token_type_ids: tensor.optional(),
      pixel_values: tensor.optional(),
    })
    .refine(({ input_ids, pixel_values }) => input_ids || pixel_values, 'neither input_ids nor pixel_values'),
  labels: tensor,
  ...result,
  /** The results with batch norm in training mode, with the new running statistics. */
  train: z.looseObject({ ...result, buffers: norms.optional() }).optional(),
});

export type GoldenTensor = z.infer<typeof tensor>;
export type Golden = z.infer<typeof goldenSchema>;
/** The model's results in one mode. */
export type GoldenResult = Pick<NonNullable<Golden['train']>, 'loss' | 'logits' | 'grads' | 'buffers'>;

export class GoldenError extends Error {
  override name = 'GoldenError';
}

/** @throws GoldenError if the file is missing, too large, or malformed */
export async function readGolden(path: string): Promise<Golden> {
  const text = await readRegularText(path, MAX_GOLDEN_BYTES).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw new GoldenError(`The reference file cannot be read: ${messageOf(error)}.`);
    throw new GoldenError(`${path} is missing: verify needs the reference numbers in the model folder`);
  });
  const parsed = goldenSchema.safeParse(parseJson(path, text));
  if (parsed.success) return parsed.data;
  const first = parsed.error.issues[0];
  throw new GoldenError(`${path} is not a reference file: ${first?.path.join('.')}: ${first?.message}`);
}

/** @throws GoldenError that names what the reference numbers lack for this kind of model */
export function inputOf(golden: Golden, name: 'input_ids' | 'pixel_values', rank: number): GoldenTensor {
  const found = golden.inputs[name];
  if (!found) throw new GoldenError(`the reference numbers of ${golden.model} have no ${name}`);
  if (found.shape.length !== rank) throw new GoldenError(`${name} of the reference numbers is [${found.shape}]; ${rank} axes are due`);
  return found;
}

/** The token ids of the reference, [texts, tokens]. @throws GoldenError if there are none, or one that the model does not read */
export function idsOf(golden: Golden, known: KnownTokens): GoldenTensor {
  const ids = inputOf(golden, 'input_ids', 2);
  const unknown = unknownToken(ids.data, known);
  if (unknown) throw new GoldenError(`the reference numbers of ${golden.model} cannot be compared: ${unknown.problem}`);
  return ids;
}

/** Size of the reference images, for models that accept any size. */
export function imageSizeOf({ inputs }: Golden): readonly [number, number] | undefined {
  const [, , height, width] = inputs.pixel_values?.shape ?? [];
  return height && width ? [height, width] : undefined;
}

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new GoldenError(`${path} is not JSON: ${messageOf(error)}`);
  }
}
