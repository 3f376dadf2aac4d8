/** A cache of scores, keyed by everything that they depend on; also stores intermediate sums of an interrupted pass over the data. */

import { createHash } from 'node:crypto';
import { mkdir, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { type Batch, type BatchSource, epochBatches } from '../data/batch/batches.ts';
import { pruneFolder } from '../files/bounded-folder.ts';
import { encodeFloat32 } from '../format/float-format.ts';
import { openSafetensors } from '../format/safetensors/safetensors-source.ts';
import { writeSafetensors } from '../format/safetensors/safetensors-writer.ts';
import type { Precision } from '../model/weight-storage.ts';
import { TEMPORARY_ENDING } from '../protocol/temporary-ending.ts';
import type { RowsOf, TrainedUnit } from '../selection.ts';
import type { UnfinishedScores } from './score-model.ts';
import { loadScores, type ModelScores, type ScoresOrigin, saveScores } from './scores-file.ts';

/** Everything that scores depend on, as plain data. */
export interface ScoresKey {
  readonly measure: string;
  /** Fingerprint of the base weights. */
  readonly base: string;
  /** Fingerprint of the samples as batches: `batchesFingerprint`. */
  readonly data: string;
  readonly exact: boolean;
  readonly modules: readonly (readonly [name: string, shape: readonly number[], unit?: 'columns'])[];
  /** Initial values of parameters that are not in the weight file. */
  readonly initial: readonly unknown[];
  readonly engine: string;
  readonly precision: Precision;
  /** The step size of a measure that moves weights. */
  readonly stepSize?: number;
}

/** Increased when the same key produces other scores than before. */
const VERSION = 3;

/** Cache size beyond which the least recently used entries are deleted: about 300 sets of scores of an 8B model. */
const MAX_BYTES = 2 * 2 ** 30;

/** Maximum loss of progress when a long pass is interrupted. */
const INTERVAL_MS = 20_000;
/** Maximum share of the time spent on storing; many classes of a large model are stored less often. */
const TIME_SHARE = 0.03;

export interface ScoreCache {
  /** The path of the scores, for display. */
  readonly file: string;
  find(): Promise<(ModelScores & { readonly origin: ScoresOrigin }) | undefined>;
  /** Stores complete scores and deletes the intermediate sums of the pass. */
  keep(scores: ModelScores, origin: ScoresOrigin, units: readonly RowsOf[]): Promise<void>;
  readonly unfinished: UnfinishedScores;
}

export function openScoreCache(cacheDir: string, key: ScoresKey): ScoreCache {
  const folder = join(cacheDir, 'scores');
  const name = createHash('sha256')
    .update(JSON.stringify([VERSION, key]))
    .digest('hex')
    .slice(0, 32);
  const file = join(folder, `${name}.safetensors`);
  const unfinished = join(folder, `${name}.unfinished.safetensors`);
  return {
    file,
    async find() {
      if (!(await exists(file))) return undefined;
      try {
        const found = await loadScores(file, key.base, unitOf(key));
        await utimes(file, new Date(), new Date());
        return found;
      } catch {
        // If the cache cannot be read, the scores are computed.
        return undefined;
      }
    },
    async keep(scores, origin, units) {
      await mkdir(folder, { recursive: true });
      await saveScores(file, scores, origin, units);
      await rm(unfinished, { force: true });
      await pruneFolder(folder, { own: OWN_FILE, maxBytes: MAX_BYTES });
    },
    unfinished: unfinishedScores(folder, unfinished),
  };
}

const unitOf = ({ modules }: ScoresKey): TrainedUnit => modules[0]?.[2] ?? 'rows';

function unfinishedScores(folder: string, file: string): UnfinishedScores {
  let dueMs = performance.now() + INTERVAL_MS;
  return {
    isDue: () => performance.now() >= dueMs,
    async load() {
      if (!(await exists(file))) return undefined;
      const source = await openSafetensors(file);
      try {
        const done = z.coerce.number().int().positive().safeParse(source.metadata.done);
        if (!done.success) return undefined;
        const sums = new Map<string, Float32Array>();
        for (const name of source.tensors.keys()) sums.set(name, await source.readFloat32(name));
        return { done: done.data, sums };
      } finally {
        await source.close();
      }
    },
    async save(done, sums) {
      if (done === 0) return;
      const startedMs = performance.now();
      await mkdir(folder, { recursive: true });
      const entries = [...sums].map(([name, values]) => ({
        name,
        dtype: 'F32' as const,
        shape: [values.length],
        data: () => encodeFloat32(values, 'F32'),
      }));
      await writeSafetensors(file, entries, { done: String(done) });
      const endedMs = performance.now();
      dueMs = endedMs + Math.max(INTERVAL_MS, (endedMs - startedMs) / TIME_SHARE);
    },
  };
}

/** A fingerprint of the batches' content and composition, with the class of each sample. */
export async function batchesFingerprint(source: BatchSource, classOf: (sample: number) => number = () => -1): Promise<string> {
  const hash = createHash('sha256');
  for await (const batch of epochBatches(source, 0)) addBatch(hash, batch, classOf);
  return hash.digest('hex');
}

function addBatch(hash: ReturnType<typeof createHash>, batch: Batch, classOf: (sample: number) => number): void {
  hash.update(JSON.stringify([batch.bucket, batch.sampleIndices.map(classOf)]));
  for (const [name, { buffer, byteOffset, byteLength }] of Object.entries(batch.feeds(1)))
    hash.update(name).update(new Uint8Array(buffer, byteOffset, byteLength));
}

const exists = async (file: string): Promise<boolean> =>
  stat(file).then(
    found => found.isFile(),
    () => false,
  );

/** Names of files in this cache: the scores, the summaries next to them, and temporary files of a killed process. */
const OWN_FILE = new RegExp(`^[0-9a-f]{32}(?:\\.unfinished)?\\.safetensors(?:\\.json)?(?:${TEMPORARY_ENDING})?$`);
