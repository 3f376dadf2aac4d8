/** Facts about a recipe's data files: whether they exist, their columns, and the first unusable sample. */

import { stat } from 'node:fs/promises';
import path from 'node:path';
import { namesWhere, orList } from '../../catalog/entries.ts';
import { objectiveCatalog } from '../../catalog/objectives.ts';
import type { Declared } from '../../data/class-names/declared-labels.ts';
import { mayHoldImages } from '../../data/image/image-samples.ts';
import { firstDataFile } from '../../data/read/list-files.ts';
import type { DataFormat } from '../../data/types.ts';
import { isDataSetName } from '../../files/data-set-name.ts';
import { findDataSet, knownDataSet, partOfDataSet } from '../../hub/hub-dataset.ts';
import { elementAt } from '../../narrow.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { countFolderLabels, type LabelCounts, MAX_COUNTED_BYTES } from './count-labels.ts';
import type { RowCount } from './count-rows.ts';
import { isFolderOfImages } from './image-folder.ts';
import { type ModelFacts, nearbyName } from './model-facts.ts';

export interface BadSample {
  /** Line number, from 1. */
  readonly line: number;
  /** Number in a JSON list, from 1, if the line holds several samples. */
  readonly sample?: number | undefined;
  readonly key?: string;
  readonly reason: string;
}

/** Unusual samples among those that were read: their number, and the line of the first one. */
export interface OddSamples {
  readonly count: number;
  readonly of: number;
  readonly line: number;
}

export interface DataFact {
  /** The file as the recipe names it. */
  readonly written: string;
  readonly full: string;
  /** For a folder, the path within it of the file that was read, which is `full`. */
  readonly inFolder?: string;
  readonly state: 'ok' | 'missing' | 'unreadable' | 'bad-sample';
  readonly isFolder: boolean;
  /** Present for a data set on the hub of which no file is on this machine. */
  readonly isOnHub?: boolean;
  /** The reason why it is unreadable. */
  readonly reason?: string;
  /** The first unusable samples of the file, in line order. */
  readonly badSamples?: readonly BadSample[];
  /** Whether there may be more of them. */
  readonly isTruncated?: boolean;
  /** Number of checked samples that can be used, if others cannot. */
  readonly usable?: number;
  readonly suggestion?: string;
  /** Number of samples in the file, if counting them is quick. */
  readonly rows?: RowCount;
  /** The version of the file, from which it was counted. */
  readonly bytes?: number;
  /** Keys of the first sample, with the names in the data. */
  readonly columns: readonly string[];
  readonly format?: DataFormat;
  /** Whether the samples are prompts with answers and will be written without the chat template that the model has. */
  readonly isPlainForChat?: boolean | undefined;
  /** Whether the first sample judges its answer as good or bad, which a task that trains answers does not read. */
  readonly hasJudgments?: boolean | undefined;
  /** Samples that compare a text with itself. */
  readonly sameTexts?: OddSamples | undefined;
  /** Pairs with an answer that begins with its prompt. */
  readonly repeatedPrompts?: OddSamples | undefined;
  /** Number of queries in a reranker's file that was read to its end, and number of queries with a single document. */
  readonly queries?: { readonly count: number; readonly single: number } | undefined;
  /** The trained roles that have a turn in a file that was read to its end. */
  readonly seenRoles?: readonly string[] | undefined;
  /** Whether its samples bring images that the task and the model read. */
  readonly bringsImages?: boolean;
  /** Whether its images were not opened because the library that decodes them is missing. */
  readonly lacksImageLibrary?: boolean;
  /** The names of classes that the file declares for its labels. */
  readonly declared?: Declared | undefined;
  /** Remarks about names of classes: declared ones that are not used, or that differ from the recipe's labels. */
  readonly nameWarnings?: readonly string[];
  /** Number of samples of each label, if the task or the measure uses labels and counting them is quick. */
  readonly labels?: LabelCounts;
}

const MAX_CACHED = 64;

type DataSettings = Recipe['data'];
type Task = Recipe['task'];
type Asked = Pick<Recipe, 'data' | 'embedding' | 'task' | 'max_length'>;

/** The part of a recipe's data that the file belongs to, and the model that reads it. */
export interface LookedFor {
  readonly part: 'train' | 'eval';
  /** The model; undefined if it is not on this machine, or unusable. */
  readonly model?: ModelFiles | undefined;
}

/** True if labels are counted. A language model answers texts with a label by the label. */
const needsLabels = ({ task }: Asked): boolean => {
  const { target, compares } = objectiveCatalog[task];
  return ['label', 'labels', 'tags', 'tokens'].includes(target) || compares?.answers === 'judged';
};

/** True if the samples of a task may be chats, which the model's template turns into texts. */
const readsChats = (task: Task): boolean => objectiveCatalog[task].model === 'causal' || objectiveCatalog[task].compares !== undefined;

const imagesForTexts = (written: string, task: Task): string => {
  const ofImages = orList(namesWhere(objectiveCatalog, ({ reads }) => reads === 'images').map(name => `task: ${name}`));
  return `${written} is a folder of images, and ${objectiveCatalog[task].label} (task: ${task}) reads texts. Choose a model of images and ${ofImages}, or name a file of texts`;
};

const textsForImages = (written: string, task: Task): string =>
  `${written} is not a file of images, and ${objectiveCatalog[task].label} (task: ${task}) reads a folder with one folder a class, CIFAR binaries (.bin) or Parquet files. Name one of these, or choose a model of texts and a task that reads them`;

/** The function `readDataFact`, in this process or in another one. May reject. */
export type ReadDataFact = (params: DataFactParams) => Promise<DataFact>;

export interface DataFactParams {
  readonly written: string;
  readonly full: string;
  readonly data: DataSettings;
  readonly task: Task;
  readonly embedding: Recipe['embedding'];
  readonly maxLength: number;
  /** Whether labels are counted. */
  readonly counts: boolean;
  /** The size, which identifies the version of the file. */
  readonly bytes: number;
  /** The model whose chat template turns the samples into texts; undefined if it is not on this machine. */
  readonly model?: ModelFiles | undefined;
  /** The local places for the files of a data set on the hub, which may be present in part. */
  readonly remote?: readonly RemotePlace[];
}

/** A local model, and the version of its files. */
export type ModelFiles = Pick<Extract<ModelFacts, { kind: 'ready' }>, 'path' | 'id'>;

interface RemotePlace {
  readonly path: string;
  readonly byteLength: number;
}

export class DataCache {
  private readonly entries = new Map<string, Promise<DataFact>>();
  private readonly read: ReadDataFact;
  private readonly cacheDir: string | undefined;

  /** @param cacheDir the folder of downloaded data sets */
  constructor(read: ReadDataFact, cacheDir?: string) {
    this.read = read;
    this.cacheDir = cacheDir;
  }

  /** Returns the facts about a file. Never rejects. */
  async look(written: string, asked: Asked, baseDir: string, lookedFor: LookedFor = { part: 'train' }): Promise<DataFact> {
    const { data, task, embedding, max_length: maxLength } = asked;
    const model = readsChats(task) ? lookedFor.model : undefined;
    const full = path.resolve(baseDir, written);
    const found = await stat(full).catch(() => undefined);
    const base = { written, full, isFolder: found?.isDirectory() === true, columns: [] };
    if (found === undefined && isDataSetName(written, baseDir)) return this.lookInCache(base, asked, lookedFor);
    if (found === undefined) return { ...base, state: 'missing', suggestion: await nearbyName(written, full) };
    // An incomplete path may be the root of the disk, so image folders are counted only down to their classes; the trainer checks the rest.
    if (base.isFolder && objectiveCatalog[task].reads === 'images') return { ...base, state: 'ok', labels: await countFolderLabels(full) };
    if (base.isFolder && (await isFolderOfImages(full))) return { ...base, state: 'unreadable', reason: imagesForTexts(written, task) };
    if (base.isFolder) return this.lookInFolder(base, asked, lookedFor);
    if (objectiveCatalog[task].reads === 'images')
      return mayHoldImages(full) ? { ...base, state: 'ok' } : { ...base, state: 'unreadable', reason: textsForImages(written, task) };
    const counts = needsLabels(asked) && found.size <= MAX_COUNTED_BYTES;
    return this.known([full, found.mtimeMs, found.size], {
      written,
      full,
      data,
      task,
      embedding,
      maxLength,
      counts,
      bytes: found.size,
      model,
    });
  }

  /** Returns the cached fact about the same file and settings, or reads it. */
  private known(file: readonly unknown[], params: DataFactParams): Promise<DataFact> {
    const { written, full, data, task, embedding, maxLength, counts, model } = params;
    const { train: _train, eval: _eval, ...reading } = data;
    const key = JSON.stringify([file, task, reading, counts, embedding, maxLength, model?.id]);
    const known =
      this.entries.get(key) ??
      this.read(params).catch((error: Error) => unreadable({ written, full, isFolder: false, columns: [] }, error));
    this.entries.delete(key);
    this.entries.set(key, known);
    const [oldest] = this.entries.keys();
    if (this.entries.size > MAX_CACHED && oldest !== undefined) this.entries.delete(oldest);
    return known;
  }

  /** Reads the first file of a folder. Its facts are those of the folder, except for counts if there are other files. */
  private async lookInFolder(base: Omit<DataFact, 'state'>, asked: Asked, lookedFor: LookedFor): Promise<DataFact> {
    const { written, full } = base;
    try {
      const first = await firstDataFile(full);
      if (first === undefined) return { ...base, state: 'ok' };
      const fact = await this.look(first.path, asked, full, lookedFor);
      return { ...fact, written, inFolder: path.relative(full, first.path), ...(!first.isOnly && { rows: undefined, labels: undefined }) };
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      return unreadable(base, error);
    }
  }

  /** Reads a data set on the hub if it was downloaded, whole or in part. Nothing is known about any other. */
  private async lookInCache(base: Omit<DataFact, 'state'>, asked: Asked, lookedFor: LookedFor): Promise<DataFact> {
    const { written } = base;
    const cacheDir = this.cacheDir;
    const of = partOfDataSet(written, asked.data, lookedFor.part);
    // A split that the data set lacks is reported when it is fetched.
    const known = cacheDir === undefined ? undefined : await knownDataSet(cacheDir, of).catch(() => undefined);
    const [first] = known ?? [];
    const isUnknown = known === undefined || objectiveCatalog[asked.task].reads === 'images';
    if (cacheDir === undefined || isUnknown || first === undefined) return { ...base, state: 'ok', isOnHub: known === undefined };
    const isWhole = (await findDataSet(cacheDir, of)) !== undefined;
    const fact = isWhole
      ? await this.look(first.path, asked, path.dirname(first.path), lookedFor)
      : await this.lookAtColumns(known, written, asked, lookedFor);
    return { ...fact, written, ...(known.length > 1 && { rows: undefined }) };
  }

  private async lookAtColumns(remote: readonly RemotePlace[], written: string, asked: Asked, lookedFor: LookedFor): Promise<DataFact> {
    const { data, task, embedding, max_length: maxLength } = asked;
    const model = readsChats(task) ? lookedFor.model : undefined;
    const full = elementAt(remote, 0).path;
    // The folder's time is part of the key, because files with columns are added and removed.
    const folder = await stat(path.dirname(full)).catch(() => undefined);
    return this.known([full, folder?.mtimeMs], {
      written,
      full,
      data,
      task,
      embedding,
      maxLength,
      counts: needsLabels(asked),
      bytes: 0,
      remote,
      model,
    });
  }
}

const unreadable = (base: Omit<DataFact, 'state'>, { message }: Error): DataFact => ({ ...base, state: 'unreadable', reason: message });
