/** Finds and opens an adapter of any origin: a run's checkpoint, an exported folder, or PEFT's LoRA. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { methodCatalog, methodNames } from '../catalog/methods.ts';
import { readRegularText } from '../files/regular-file.ts';
import { parseSealedJson } from '../files/sealed-json.ts';
import { fileSize } from '../format/model-config.ts';
import { openSafetensors } from '../format/safetensors/safetensors-source.ts';
import type { WeightFiles } from '../format/weight-files.ts';
import type { ConfigJson } from '../model/config-json.ts';
import { type AnyModel, classifierProblems } from '../model/model-spec.ts';
import { messageOf } from '../protocol/error-facts.ts';
import { poolingModes } from '../protocol/pooling.ts';
import type { Selection, TrainedUnit } from '../selection.ts';
import {
  ADAPTER_DESCRIPTION,
  ADAPTER_VERSION,
  ADAPTER_WEIGHTS,
  type Adapter,
  type AdapterDescription,
  AdapterError,
  columnsTensor,
  elementsTensor,
  modelOfAdapter,
  rowsTensor,
} from './adapter.ts';
import { findCheckpoint } from './find-checkpoint.ts';
import { PEFT_CONFIG, readPeft } from './read-peft.ts';

/** Maximum size of a description. A 70B model with a third of its rows has 20 MB of row indices. */
const MAX_DESCRIPTION_BYTES = 64 * 2 ** 20;

/** The model that the adapter in a folder makes of a base; without a folder, the base. @throws AdapterError, ModelConfigError */
export const tunedModel = (config: ConfigJson, path: string | undefined): Promise<AnyModel> =>
  withAdapter(path, async adapter => modelOfAdapter(config, adapter?.description ?? {}));

/** Opens the adapter in a folder for a function; without a folder, there is none. @throws as `readAdapter` does */
export async function withAdapter<T>(path: string | undefined, use: (adapter: Adapter | undefined) => Promise<T>): Promise<T> {
  const adapter = path === undefined ? undefined : await readAdapter(path);
  try {
    return await use(adapter);
  } finally {
    await adapter?.close();
  }
}

/**
 * Opens an adapter.
 * @param path a run folder (its best checkpoint if the run kept one, else the last), a checkpoint, an exported adapter, or a PEFT LoRA
 * folder
 * @throws AdapterError with everything that is wrong with it; ModelFileError if its safetensors file is damaged
 */
export async function readAdapter(path: string): Promise<Adapter> {
  const info = await stat(path).catch(() => undefined);
  if (!info?.isDirectory())
    throw new AdapterError(
      path,
      [info ? 'is not a folder' : 'does not exist'],
      'Give a run folder, one of its checkpoints, or an exported adapter.',
    );
  if (await isFile(join(path, ADAPTER_DESCRIPTION))) return openOurs(path);
  if (await isFile(join(path, PEFT_CONFIG))) return readPeft(path);
  const checkpoint = await findCheckpoint(path);
  if (checkpoint) return openOurs(checkpoint);
  throw new AdapterError(
    path,
    [`has neither ${ADAPTER_DESCRIPTION} nor ${PEFT_CONFIG}, and no checkpoint of a run`],
    'Give a run folder that has saved a checkpoint, or an exported adapter.',
  );
}

const isFile = async (path: string): Promise<boolean> => (await fileSize(path)) !== undefined;

const rank = z.strictObject({ r: z.int().positive(), alpha: z.number(), hasBias: z.literal(true).optional() });
const vera = z.strictObject({
  r: z.int().positive(),
  input: z.int().positive(),
  output: z.int().positive(),
  projectionKey: z.int().nonnegative(),
});
const place = z
  .int()
  .nonnegative()
  .max(2 ** 31 - 1);
/** A side of an image. The number determines array sizes; no network in use sees larger images. */
const imageSide = z.int().min(1).max(16_384);
/** A dense layer in a folder next to config.json, never elsewhere. */
const dense = z.object({ at: z.string().regex(/^[\w-]+$/), width: z.int().positive(), out: z.int().positive(), biased: z.boolean() });
const prompts = z.object({ query: z.string().optional(), document: z.string().optional() });
const selectionSchema = z.record(z.string(), z.array(place)).default({});
const descriptionSchema = z.object({
  version: z.literal(ADAPTER_VERSION),
  created_by: z.string(),
  method: z.enum(methodNames),
  base: z.object({ source: z.string(), revision: z.string(), fingerprint: z.string().optional(), architecture: z.string().optional() }),
  modules: z.array(z.string()),
  rows: selectionSchema,
  columns: selectionSchema,
  lora: z.record(z.string(), rank).default({}),
  vera: vera.optional(),
  whole: z.array(z.string()).optional(),
  step: z.int().nonnegative().optional(),
  problem: z.enum(classifierProblems).optional(),
  pooling: z
    .object({ mode: z.enum(poolingModes), normalize: z.boolean(), dense: z.array(dense).optional(), prompts: prompts.optional() })
    .optional(),
  image_size: z.tuple([imageSide, imageSide]).optional(),
  labels: z.array(z.string()).optional(),
});

async function openOurs(dir: string): Promise<Adapter> {
  const found = await readDescription(dir);
  const source = await openSafetensors(join(dir, ADAPTER_WEIGHTS));
  try {
    const description = { ...found, elements: await readElements(source, found.modules) };
    const places = new Set(description.modules.flatMap(module => [rowsTensor(module), columnsTensor(module), elementsTensor(module)]));
    const problems = [
      ...(await placeProblems(source, description.rows, 'rows', rowsTensor)),
      ...(await placeProblems(source, description.columns, 'columns', columnsTensor)),
    ];
    if (problems.length > 0) throw new AdapterError(dir, problems, 'Its two files are not of one save: export or train it again.');
    return {
      dir,
      description,
      tensors: new Map([...source.tensors].filter(([name]) => !places.has(name))),
      readFloat32: name => source.readFloat32(name),
      close: () => source.close(),
    };
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function readDescription(dir: string): Promise<Omit<AdapterDescription, 'elements'>> {
  const path = join(dir, ADAPTER_DESCRIPTION);
  const remedy = 'Export or train it again.';
  const text = readRegularText(path, MAX_DESCRIPTION_BYTES);
  const { value } = await text.then(parseSealedJson).catch((error: unknown) => {
    throw new AdapterError(dir, [`${ADAPTER_DESCRIPTION} cannot be read: ${messageOf(error)}`], remedy);
  });
  const parsed = descriptionSchema.safeParse(value);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(issue => `${ADAPTER_DESCRIPTION}: ${issue.path.join('.') || 'it'}: ${issue.message}`);
    throw new AdapterError(dir, problems, `This version reads format ${ADAPTER_VERSION}. ${remedy}`);
  }
  const { version: _, created_by: createdBy, image_size: imageSize, rows, columns, lora, whole, ...same } = parsed.data;
  return {
    ...same,
    createdBy,
    imageSize,
    rows: selectionOf(rows),
    columns: selectionOf(columns),
    lora: new Map(Object.entries(lora)),
    whole: whole ?? (methodCatalog[same.method].trainsWhole ? same.modules : []),
  };
}

const selectionOf = (lists: Readonly<Record<string, readonly number[]>>): Selection =>
  new Map(Object.entries(lists).map(([module, indices]) => [module, Int32Array.from(indices)]));

async function readElements(source: WeightFiles, modules: readonly string[]): Promise<Selection> {
  const elements = new Map<string, Int32Array>();
  for (const module of modules) {
    const tensor = source.tensors.get(elementsTensor(module));
    if (tensor?.dtype !== 'I32') continue;
    // Copy, because the bytes may be misaligned in a larger buffer.
    elements.set(module, new Int32Array(Uint8Array.from(await source.readRaw(tensor.name)).buffer));
  }
  return elements;
}

/** Checks that the indices in both files are the same. */
async function placeProblems(
  source: WeightFiles,
  selection: Selection,
  noun: TrainedUnit,
  tensorOf: (module: string) => string,
): Promise<string[]> {
  const problems: string[] = [];
  for (const [module, indices] of selection) {
    const tensor = source.tensors.get(tensorOf(module));
    if (tensor?.dtype !== 'I32') problems.push(`${ADAPTER_WEIGHTS} has no int32 tensor ${tensorOf(module)}`);
    else if (!sameBytes(await source.readRaw(tensor.name), indices)) problems.push(`the ${noun} of ${module} differ between the two files`);
  }
  return problems;
}

const sameBytes = (bytes: Uint8Array, indices: Int32Array): boolean =>
  Buffer.compare(bytes, new Uint8Array(indices.buffer, indices.byteOffset, indices.byteLength)) === 0;
