/** The models at hand: the cache of the hub and folders that a client names; their headers alone are read. */
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { listComplete } from '../hub/hub-cache.ts';
import { readModelHeaders } from '../hub/open-model.ts';
import { WEIGHT_FILES } from '../hub/weight-forms.ts';
import type { ModelInfo } from '../protocol/rpc-messages.ts';
import { RUN_FILES } from '../run/run-files.ts';
import { STATE_FILE } from '../run/run-state.ts';

const isWeights = (name: string): boolean => name.endsWith('.safetensors') || WEIGHT_FILES.includes(name);

/** A model folder lies at most this deep below a folder that a client names. */
const MAX_DEPTH = 3;
const MAX_MODELS = 500;

export async function listModels(cacheDir: string, folders: readonly string[]): Promise<ModelInfo[]> {
  const found: { readonly name: string; readonly path: string; readonly source: ModelInfo['source'] }[] = [];
  for (const model of await listComplete(cacheDir)) found.push({ ...model, source: 'cache' });
  for (const folder of folders) await search(folder, 0);
  return Promise.all(found.slice(0, MAX_MODELS).map(describe));

  async function search(folder: string, depth: number, run?: string): Promise<void> {
    const inside = await readdir(folder, { withFileTypes: true }).catch(() => []);
    const files = new Set(inside.filter(entry => !entry.isDirectory()).map(({ name }) => name));
    if (files.has('config.json') && [...files].some(isWeights)) add(path.basename(folder), folder, run);
    for (const name of files) if (name.endsWith('.gguf')) add(path.basename(name, '.gguf'), path.join(folder, name), run);
    const isRun = files.has(STATE_FILE) && files.has(RUN_FILES.recipe);
    if (depth === MAX_DEPTH || found.length >= MAX_MODELS) return;
    for (const entry of inside)
      if (entry.isDirectory() && !entry.name.startsWith('.') && entry.name !== 'node_modules' && entry.name !== RUN_FILES.checkpoints)
        await search(path.join(folder, entry.name), depth + 1, isRun ? path.basename(folder) : run);
  }

  function add(name: string, where: string, run: string | undefined): void {
    found.push(run === undefined ? { name, path: where, source: 'folder' } : { name: `${run}/${name}`, path: where, source: 'run' });
  }
}

async function describe(found: Pick<ModelInfo, 'name' | 'path' | 'source'>): Promise<ModelInfo> {
  try {
    const { config, tensors } = await readModelHeaders(found.path);
    const all = [...tensors.values()];
    return {
      ...found,
      family: typeof config.model_type === 'string' ? config.model_type : undefined,
      parameters: parameterCount(all),
      weightBytes: all.reduce((sum, { byteLength }) => sum + byteLength, 0),
      dtypes: [...new Set(all.map(({ dtype, quantization }) => quantization ?? dtype))].sort(),
    };
  } catch (error) {
    return { ...found, problem: error instanceof Error ? error.message : String(error) };
  }
}

export function parameterCount(tensors: Iterable<{ readonly shape: readonly number[] }>): number {
  let count = 0;
  for (const { shape } of tensors) count += shape.reduce((a, b) => a * b, 1);
  return count;
}
