/** Facts from the headers of a recipe's model, cached until one of its files changes. */
import { stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { didYouMean } from '../../catalog/did-you-mean.ts';
import { firstNames } from '../../files/folder-walk.ts';
import type { ModelConfig } from '../../format/model-config.ts';
import type { Vocabulary } from '../../format/tokenizer/tokenizer.ts';
import { findComplete, repoFolder } from '../../hub/hub-cache.ts';
import { loadModel } from '../../model/load-model.ts';
import type { AnyModel } from '../../model/model-spec.ts';
import { messageOf } from '../../protocol/error-facts.ts';
import { isHubName, modelAt } from '../../protocol/hub-name.ts';
import type { TextPrompts } from '../../protocol/pooling.ts';

/** The weights of a folder that are stored as codes of few bits. */
export interface StoredBits {
  /** The mean for a value, rounded. */
  readonly bits: number;
  /** The number of values. */
  readonly values: number;
}

interface UnusableModel {
  readonly kind: 'unsupported' | 'unreadable' | 'mismatch';
  readonly path: string;
  readonly reason: string;
}

/** The content of a model's files as plain data, because it may come from another process. */
export type ModelFileFacts =
  /** The config describes a model with exactly these weights. */
  | {
      readonly kind: 'ready';
      readonly path: string;
      readonly config: ModelConfig;
      readonly vocabulary?: Vocabulary;
      readonly stored?: StoredBits;
      readonly vectors?: VectorFacts;
      /** The reason why a model of texts has no tokenizer, with the remedy. */
      readonly noTokenizer?: string;
    }
  | UnusableModel;

/** How a folder of sentence-transformers computes vectors: its prompts; or the reason why vectors are not supported. */
export type VectorFacts = { readonly prompts: TextPrompts } | { readonly refused: string };

export type ModelFacts =
  | {
      readonly kind: 'ready';
      readonly path: string;
      readonly model: AnyModel;
      readonly id: string;
      readonly vocabulary?: Vocabulary;
      readonly stored?: StoredBits;
      readonly vectors?: VectorFacts;
      /** The reason why a model of texts has no tokenizer, with the remedy. */
      readonly noTokenizer?: string;
    }
  /** A hub name that was not downloaded yet, so nothing is known to be wrong; a local model may have a similar name. */
  | { readonly kind: 'not-downloaded'; readonly suggestion?: string }
  | { readonly kind: 'missing'; readonly suggestion?: string }
  | UnusableModel;

/** The function `readModelFacts`, in this process or in another one. May reject. */
export type ReadModelFacts = (file: string) => Promise<ModelFileFacts>;

/** Maximum number of entries to read of a folder that may not be a model folder, such as one of images. */
const MAX_LOOKED_AT = 10_000;
/** Maximum number of files to search; a model folder contains tens of files. */
const MAX_FILES = 2000;
/** Maximum number of cached models. Headers of the largest take tens of megabytes; an editor has few recipes open. */
const MAX_CACHED = 8;
const MODEL_FILES = /\.(?:safetensors|bin|gguf|json|model)$/;

interface Cached {
  readonly id: string;
  readonly facts: Promise<ModelFacts>;
}

export class ModelCache {
  private readonly cacheDir: string;
  private readonly read: ReadModelFacts;
  private readonly entries = new Map<string, Cached>();

  /** @param cacheDir the folder of downloaded models */
  constructor(cacheDir: string, read: ReadModelFacts) {
    this.cacheDir = cacheDir;
    this.read = read;
  }

  /** Returns the facts about a model. Never rejects: problems of the model are facts. */
  async look(name: string, revision: string, baseDir: string): Promise<ModelFacts> {
    const local = path.resolve(baseDir, name);
    const id = await fingerprint(local);
    if (id !== undefined) return this.cached(local, id);
    if (isHubName(name)) {
      const downloaded = await findComplete(repoFolder(this.cacheDir, name), revision).catch(() => undefined);
      const downloadedId = downloaded === undefined ? undefined : await fingerprint(downloaded);
      // A run takes the downloaded model, too, whatever folder is next to the recipe.
      if (downloaded !== undefined && downloadedId !== undefined) return this.cached(downloaded, downloadedId);
      if (!(await hasParentFolder(name, local))) return { kind: 'not-downloaded', suggestion: await nearbyModel(name, local) };
    }
    return { kind: 'missing', suggestion: modelAt(name) ?? (await nearbyName(name, local)) };
  }

  private cached(file: string, id: string): Promise<ModelFacts> {
    const known = this.entries.get(file);
    this.entries.delete(file);
    const entry = known?.id === id ? known : { id, facts: this.facts(file, id) };
    this.entries.set(file, entry);
    const [oldest] = this.entries.keys();
    if (this.entries.size > MAX_CACHED && oldest !== undefined) this.entries.delete(oldest);
    return entry.facts;
  }

  private async facts(file: string, id: string): Promise<ModelFacts> {
    try {
      const facts = await this.read(file);
      return facts.kind === 'ready' ? { ...facts, path: file, model: loadModel(facts.config), id } : facts;
    } catch (error) {
      return { kind: 'unreadable', path: file, reason: messageOf(error) };
    }
  }
}

/** Names, times and sizes of a model's files; undefined if the file or folder does not exist. */
export async function fingerprint(file: string): Promise<string | undefined> {
  const found = await stat(file).catch(() => undefined);
  if (found === undefined) return undefined;
  const folder = found.isDirectory() ? file : path.dirname(file);
  const names = (await firstNames(folder, MAX_LOOKED_AT)).filter(name => MODEL_FILES.test(name)).slice(0, MAX_FILES);
  const stats = await Promise.all(names.map(name => stat(path.join(folder, name)).catch(() => undefined)));
  return [file, ...names.map((name, i) => `${name}:${stats[i]?.mtimeMs}:${stats[i]?.size}`)].join('\n');
}

/** True if the name's parent is a folder: `models/smol` is then more likely a misspelled folder than a hub name. */
async function hasParentFolder(name: string, local: string): Promise<boolean> {
  return name.includes('/') && (await stat(path.dirname(local)).catch(() => undefined))?.isDirectory() === true;
}

/** The sibling with the most similar name, if that is a model. A name with a slash has no siblings here, so it is meant for the hub. */
async function nearbyModel(name: string, local: string): Promise<string | undefined> {
  const near = name.includes('/') ? undefined : await nearbyName(name, local);
  if (near === undefined || near.endsWith('.gguf')) return near;
  const config = await stat(path.join(path.dirname(local), near, 'config.json')).catch(() => undefined);
  return config === undefined ? undefined : near;
}

/** The sibling with the most similar name, in the user's notation; or the expansion of `~`. */
export async function nearbyName(written: string, full: string): Promise<string | undefined> {
  const atHome = path.join(homedir(), written.slice(1));
  if (/^~[/\\]/.test(written) && (await stat(atHome).catch(() => undefined))) return atHome;
  const names = (await firstNames(path.dirname(full), MAX_LOOKED_AT)).filter(name => !name.startsWith('.')).slice(0, MAX_FILES);
  const near = didYouMean(path.basename(full), names);
  if (near === undefined) return undefined;
  const cut = Math.max(written.lastIndexOf('/'), written.lastIndexOf('\\'));
  return written.slice(0, cut + 1) + near;
}

/** True if a model reads texts, with a tokenizer. */
export const readsTexts = (model: AnyModel): boolean => model.kind === 'causal' || model.input.kind === 'tokens';

/** The maximum input length of a text model; undefined for images. */
export function positionsOf(model: AnyModel): number | undefined {
  if (model.kind === 'causal') return model.maxPositions;
  return model.input.kind === 'tokens' ? model.input.maxPositions : undefined;
}
