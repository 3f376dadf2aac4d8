/** A model folder in two shards. */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { INDEX_FILE, openSafetensors, SINGLE_FILE } from '../../../trainer/format/safetensors/safetensors-source.ts';
import { type TensorEntry, writeSafetensors } from '../../../trainer/format/safetensors/safetensors-writer.ts';
import { temporaryFolder } from '../machine/temporary-folder.ts';

/** The names of the shards. */
export const SHARDS = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'] as const;

/** Copies the weights and config.json of a folder. The shards divide the tensors of a layer between them. */
export async function shardedCopy(folder: string): Promise<string> {
  const to = await temporaryFolder();
  const source = await openSafetensors(path.join(folder, SINGLE_FILE));
  const entries = [...source.tensors.values()].map(({ name, dtype, shape }) => {
    if (dtype === 'GGML') throw new Error(`${name} is in GGUF's types`);
    return { name, dtype, shape, data: () => source.readRaw(name) } satisfies TensorEntry;
  });
  const half = entries.length >> 1;
  await writeSafetensors(path.join(to, SHARDS[0]), entries.slice(0, half));
  await writeSafetensors(path.join(to, SHARDS[1]), entries.slice(half));
  await source.close();
  const map = entries.map(({ name }, i) => [name, SHARDS[i < half ? 0 : 1]]);
  await writeFile(path.join(to, INDEX_FILE), JSON.stringify({ metadata: {}, weight_map: Object.fromEntries(map) }));
  await writeFile(path.join(to, 'config.json'), await readFile(path.join(folder, 'config.json')));
  return to;
}
