/** Writes a folder of bfloat16 weights drawn from a seed, shard by shard: the sizes of a large model without its file. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { INDEX_FILE } from '../../trainer/format/safetensors/safetensors-source.ts';
import { writeSafetensors } from '../../trainer/format/safetensors/safetensors-writer.ts';
import { elementCount } from '../../trainer/graph/types.ts';
import { loadModel } from '../../trainer/model/load-model.ts';
import type { ParameterSpec } from '../../trainer/model/module-specs.ts';
import { hashSeed } from '../../trainer/random.ts';

const BYTES_OF_ELEMENT = 2;
/** Maximum share of the free disk space for the folder. */
const MAX_SHARE_OF_DISK = 0.5;
/** Maximum distance between the positions at which tensors start in one long array of numbers. */
const SPREAD = 2 ** 20;
const SEED = 5;

type Config = Readonly<Record<string, unknown>> & { readonly num_hidden_layers: number };

const elementsOf = (config: Config, layers: number): number =>
  loadModel({ ...config, num_hidden_layers: layers }).parameters.reduce((sum, { shape }) => sum + elementCount(shape), 0);

/**
 * Returns how many layers fit, at least one. `diskBytes` is the free disk space; `memoryBytes` is the memory that the loaded weights may
 * take.
 */
export function layersThatFit(config: Config, available: { readonly diskBytes: number; readonly memoryBytes: number }): number {
  const bytes = Math.min(MAX_SHARE_OF_DISK * available.diskBytes, available.memoryBytes);
  const layer = elementsOf(config, 2) - elementsOf(config, 1);
  const outside = elementsOf(config, 1) - layer;
  return Math.max(1, Math.min(config.num_hidden_layers, Math.floor((bytes / BYTES_OF_ELEMENT - outside) / layer)));
}

/** Returns bfloat16 values of both signs between 0.004 and 0.03 (Marsaglia's xorshift). */
function numbers(count: number): Uint16Array {
  const values = new Uint16Array(count);
  let state = SEED;
  for (let i = 0; i < count; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    // The sign, and the lowest 8 bits of exponent and fraction above 2^-8.
    values[i] = 0x3b80 + ((state >>> 8) & 0xff) + ((state & 1) << 15);
  }
  return values;
}

const ONE = 0x3f80;

/** Writes a shard per layer and one for everything else, with their index; norms are 1. @returns the size in bytes */
export async function writeSyntheticFolder(dir: string, config: Config): Promise<number> {
  await mkdir(dir, { recursive: true });
  await writeFile(path.join(dir, 'config.json'), JSON.stringify({ ...config, torch_dtype: 'bfloat16' }));
  const { parameters } = loadModel(config);
  const drawn = numbers(Math.max(...parameters.map(({ shape }) => elementCount(shape))) + SPREAD);
  const valuesOf = ({ name, shape }: ParameterSpec): Uint16Array =>
    shape.length < 2
      ? new Uint16Array(elementCount(shape)).fill(ONE)
      : drawn.subarray(hashSeed(SEED, name) % SPREAD).subarray(0, elementCount(shape));
  const bytesOf = (values: Uint16Array): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const layerOf = (name: string): string => /\.layers\.(\d+)\./.exec(name)?.[1] ?? 'outside';
  const shards = new Map<string, ParameterSpec[]>();
  for (const parameter of parameters) shards.set(layerOf(parameter.name), [...(shards.get(layerOf(parameter.name)) ?? []), parameter]);
  const places: Record<string, string> = {};
  for (const [layer, own] of shards) {
    const file = `model-${layer}.safetensors`;
    const entries = own.map(spec => ({ name: spec.name, dtype: 'BF16' as const, shape: spec.shape, data: () => bytesOf(valuesOf(spec)) }));
    await writeSafetensors(path.join(dir, file), entries, { format: 'pt' });
    for (const { name } of own) places[name] = file;
  }
  const total = parameters.reduce((sum, { shape }) => sum + BYTES_OF_ELEMENT * elementCount(shape), 0);
  await writeFile(path.join(dir, INDEX_FILE), JSON.stringify({ metadata: { total_size: total }, weight_map: places }));
  return total;
}
