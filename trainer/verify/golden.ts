/** The file `golden.json` of a model folder: inputs, and what PyTorch gave for them. */
import { readFile, stat } from 'node:fs/promises';
import { z } from 'zod';

/** Reference files are small by design; a larger one is not one. */
const MAX_GOLDEN_BYTES = 64 * 2 ** 20;

const tensor = z
  .object({ shape: z.array(z.number().int().positive()), data: z.array(z.number()) })
  .refine(({ shape, data }) => shape.reduce((n, d) => n * d, 1) === data.length, 'the data does not fill the shape');

const goldenSchema = z.looseObject({
  model: z.string(),
  inputs: z.looseObject({ input_ids: tensor, attention_mask: tensor.optional() }),
  labels: tensor,
  loss: z.number(),
  logits: tensor,
  grads: z.record(z.string(), z.looseObject({ l2: z.number(), first4: z.array(z.number()) })),
});

export type GoldenTensor = z.infer<typeof tensor>;
export type Golden = z.infer<typeof goldenSchema>;

export class GoldenError extends Error {
  override name = 'GoldenError';
}

/** @throws GoldenError where the file is missing, too large, or not of the format */
export async function readGolden(path: string): Promise<Golden> {
  const found = await stat(path).catch(() => undefined);
  if (!found) throw new GoldenError(`${path} is missing: verify needs the reference numbers of a model beside it`);
  if (found.size > MAX_GOLDEN_BYTES)
    throw new GoldenError(`${path} has ${found.size} bytes; a reference file has at most ${MAX_GOLDEN_BYTES}`);
  const parsed = goldenSchema.safeParse(parseJson(path, await readFile(path, 'utf8')));
  if (parsed.success) return parsed.data;
  const first = parsed.error.issues[0];
  throw new GoldenError(`${path} is not a reference file: ${first?.path.join('.')}: ${first?.message}`);
}

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new GoldenError(`${path} is not JSON: ${error instanceof Error ? error.message : error}`);
  }
}
