/** The files next to a model's config: weights, tokenizer and other configs, memoized until one of them changes. */
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { ADAPTER_WEIGHTS, PEFT_TORCH_WEIGHTS } from '../../adapter/adapter.ts';
import { openPeftWeights } from '../../adapter/read-peft.ts';
import { CONFIG_FILE, readOptionalFolderConfig } from '../../format/folder-config.ts';
import { type ModelConfig, quantizationOf } from '../../format/model-config.ts';
import { ModelFileError } from '../../format/model-file-error.ts';
import { openPlainWeights } from '../../format/plain-weights.ts';
import type { TensorInfo, TensorSource } from '../../format/tensor-source.ts';
import type { Vocabulary } from '../../format/tokenizer/tokenizer.ts';
import { openWeightFiles, readIndex, type WeightFiles } from '../../format/weight-files.ts';
import { WEIGHT_FORMS } from '../../format/weight-forms.ts';
import { holdsOwnHead } from '../../hub/tied-head.ts';
import { messageOf } from '../../protocol/error-facts.ts';
import { fingerprint } from './model-facts.ts';
import { readVocabulary } from './vocabulary.ts';

export type Tensors = ReadonlyMap<string, Pick<TensorInfo, 'shape'> & Partial<TensorInfo>>;

export interface FolderFacts {
  /** The tensors; undefined if there are none or they cannot be read. */
  readonly tensors?: Tensors;
  /** Whether the weights contain a head whose values differ from the embedding. */
  readonly hasOwnHead?: boolean;
  /** Files that the index lists and the folder lacks. */
  readonly missingShards: readonly string[];
  /** Tensors that the index maps to the missing files. */
  readonly unreadTensors?: ReadonlySet<string>;
  /** The reason why the weights cannot be read. */
  readonly damage?: string;
  /** Ids of tokenizer.json, or of the vocabulary file that replaces it. */
  readonly vocabulary?: Vocabulary;
  /** The content of config.json on disk. */
  readonly config?: ModelConfig;
  readonly adapterTensors?: Tensors;
  readonly hasAdapterWeights: boolean;
}

const NO_FACTS: FolderFacts = { missingShards: [], hasAdapterWeights: false };

const MAX_CACHED = 8;

export class FolderCache {
  private readonly entries = new Map<string, { readonly id: string; readonly facts: Promise<FolderFacts> }>();

  /** Returns the facts about a folder. Never rejects. */
  async look(folder: string): Promise<FolderFacts> {
    const id = await fingerprint(folder);
    if (id === undefined) return NO_FACTS;
    const known = this.entries.get(folder);
    this.entries.delete(folder);
    const entry = known?.id === id ? known : { id, facts: readFolder(folder) };
    this.entries.set(folder, entry);
    const [oldest] = this.entries.keys();
    if (this.entries.size > MAX_CACHED && oldest !== undefined) this.entries.delete(oldest);
    return entry.facts;
  }
}

async function readFolder(folder: string): Promise<FolderFacts> {
  const reading = readOptionalFolderConfig(folder);
  const config = await reading.catch(() => undefined);
  const [weights, vocabulary, adapter] = await Promise.all([
    readWeights(folder, reading.catch(noneIfConfig)),
    readVocabulary(folder, config),
    tensorsOf(openPeftWeights(folder)).catch(() => undefined),
  ]);
  const held = await Promise.all([ADAPTER_WEIGHTS, PEFT_TORCH_WEIGHTS].map(name => isThere(path.join(folder, name))));
  const hasAdapterWeights = held.includes(true);
  return { ...weights, vocabulary, config, adapterTensors: adapter, hasAdapterWeights };
}

/** Problems of config.json itself are reported at their places in it. */
function noneIfConfig(error: unknown): undefined {
  if (!(error instanceof ModelFileError) || path.basename(error.file) !== CONFIG_FILE) throw error;
}

type WeightFacts = Pick<FolderFacts, 'tensors' | 'hasOwnHead' | 'missingShards' | 'unreadTensors' | 'damage'>;

async function readWeights(folder: string, reading: Promise<ModelConfig | undefined>): Promise<WeightFacts> {
  try {
    const config = (await reading) ?? {};
    for (const { single, index, format } of WEIGHT_FORMS) {
      const file = path.join(folder, single);
      if (await isThere(file)) return { ...(await wholeFacts(openPlainWeights(file, format, config))), missingShards: [] };
      const list = path.join(folder, index);
      if (!(await isThere(list))) continue;
      const map = await readIndex(list, format);
      const shards = [...new Set(map.values())].sort();
      const present = await Promise.all(shards.map(shard => isThere(path.join(folder, shard))));
      const missingShards = shards.filter((_, i) => !present[i]);
      if (missingShards.length === 0) return { ...(await wholeFacts(openPlainWeights(list, format, config))), missingShards };
      const existing = shards.filter((_, i) => present[i]).map(shard => path.join(folder, shard));
      if (quantizationOf(config)) {
        // Codes and their scales may be in different shards: only damage is seen in them.
        await Promise.all(existing.map(shard => tensorsOf(openWeightFiles(shard, format))));
        return { missingShards };
      }
      // The existing shards are still compared with the config.
      const others = existing.map(shard => tensorsOf(openPlainWeights(shard, format, config)));
      const unread = [...map].flatMap(([tensor, shard]) => (missingShards.includes(shard) ? [tensor] : []));
      const tensors = new Map((await Promise.all(others)).flatMap(found => [...found]));
      return { tensors, missingShards, unreadTensors: new Set(unread) };
    }
    return { missingShards: [] };
  } catch (error) {
    return { missingShards: [], damage: damageOf(error) };
  }
}

async function wholeFacts(opening: Promise<WeightFiles>): Promise<Pick<FolderFacts, 'tensors' | 'hasOwnHead'>> {
  const source = await opening;
  try {
    return { tensors: source.tensors, hasOwnHead: await holdsOwnHead(source) };
  } finally {
    await source.close();
  }
}

async function tensorsOf(opening: Promise<TensorSource>): Promise<Tensors> {
  const source = await opening;
  await source.close();
  return source.tensors;
}

const isThere = async (file: string): Promise<boolean> => (await stat(file).catch(() => undefined))?.isFile() === true;

function damageOf(error: unknown): string {
  return error instanceof ModelFileError ? error.summary : messageOf(error);
}
