/**
 * The answers' log-probabilities under the base model, computed once before training: for all answers, or only for held-out ones if
 * training reads the base itself. They are cached by everything that they depend on, and copied into the run folder, so that a resumed run
 * uses the same values.
 */

import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, utimes } from 'node:fs/promises';
import path from 'node:path';
import type { AnswerBatch, BaseNlls } from '../../data/batch/answer-batches.ts';
import type { BatchSource } from '../../data/batch/batches.ts';
import { targetRuns, targetStarts } from '../../data/batch/target-runs.ts';
import type { TokenSequence } from '../../data/types.ts';
import { countTargets } from '../../data/types.ts';
import { pruneFolder } from '../../files/bounded-folder.ts';
import { encodeFloat32 } from '../../format/float-format.ts';
import { openSafetensors } from '../../format/safetensors/safetensors-source.ts';
import { writeSafetensors } from '../../format/safetensors/safetensors-writer.ts';
import { float32Of } from '../../graph/types.ts';
import { logHosted } from '../../job/log-hosted.ts';
import { sharedBatches } from '../../job/shared-batches.ts';
import { FLOAT32 } from '../../model/weight-storage.ts';
import { elementAt, required } from '../../narrow.ts';
import { RUN_FILES } from '../../protocol/run/run-files.ts';
import { TEMPORARY_ENDING } from '../../protocol/temporary-ending.ts';
import { deviceParts } from '../../train/recipe-settings.ts';
import { runForEach } from '../../train/run-on-each.ts';
import type { Task } from '../../train/task.ts';
import { evalSignature, evaluationProgram } from '../../train/train-program.ts';
import { loadVariables, storedWeights } from '../../train/variables.ts';
import { checkSameWork } from '../check-same-work.ts';
import type { SetUpParams } from '../task-setup.ts';
import { untouchedIn } from '../untouched-in.ts';

/** Increased when the same key produces other values than before. */
const VERSION = 1;

/** Cache size beyond which the least recently used entries are deleted: the values of half a billion tokens. */
const MAX_BYTES = 2 * 2 ** 30;

/** Names of files in this cache, and of temporary files of a killed process. */
const OWN_FILE = new RegExp(`^[0-9a-f]{32}\\.safetensors(?:${TEMPORARY_ENDING})?$`);

export interface BaseSet {
  /** Name for messages: 'training' or 'held-out'. */
  readonly name: string;
  readonly sequences: readonly TokenSequence[];
  /** Their batches, without log-probabilities of the base. */
  readonly source: BatchSource<AnswerBatch>;
}

/**
 * The NLL of each target under the base model, for each set. With several processes, the first one reads and writes the files, and each
 * computes some of the batches.
 * @throws RunError 'stopped'; 'ranks-differ' if another process has other samples
 */
export async function baseLogProbabilities(params: SetUpParams, task: Task, sets: readonly BaseSet[]): Promise<BaseNlls[]> {
  if (sets.length === 0) return [];
  const { context, runDir, job, ranks } = params;
  const keys = sets.map(({ sequences }) => keyOf(params, sequences));
  checkSameWork(ranks, keys);
  const isFirst = ranks?.isFirst !== false;
  const runFile = runDir === undefined ? undefined : path.join(runDir, RUN_FILES.reference);
  const folder = path.join(context.cacheDir, 'reference');
  const cacheFiles = keys.map(key => path.join(folder, `${key}.safetensors`));
  const read = async (key: string, i: number) => (await readNlls(runFile, key)) ?? (await readNlls(cacheFiles[i], key));
  const own = isFirst ? await Promise.all(keys.map(read)) : [];
  const known = ranks ? ranks.first(own) : own;
  const missing = sets.filter((_, i) => known[i] === undefined);
  const computed = missing.length > 0 ? await compute(params, task, missing) : [];
  if (missing.length === 0) job.log('info', `the log-probabilities of the base model are taken from the cache (${cacheFiles.join(', ')})`);
  const found = sets.map((set, i) => required(known[i] ?? computed[missing.indexOf(set)], 'the log-probabilities of a set'));
  if (!isFirst) return sets.map(({ sequences }, i) => bySequence(sequences, elementAt(found, i)));
  for (const set of missing) {
    const i = sets.indexOf(set);
    await mkdir(folder, { recursive: true });
    await writeNlls(elementAt(cacheFiles, i), new Map([[elementAt(keys, i), elementAt(found, i)]]));
  }
  if (missing.length > 0) await pruneFolder(folder, { own: OWN_FILE, maxBytes: MAX_BYTES });
  if (runFile !== undefined) await writeNlls(runFile, new Map(keys.map((key, i) => [key, elementAt(found, i)])));
  return sets.map(({ sequences }, i) => bySequence(sequences, elementAt(found, i)));
}

export interface DrawnSamples extends Omit<BaseSet, 'name'> {
  readonly indices: readonly number[];
  readonly rowsPerSample: number;
}

/** The NLLs of some training samples: taken from `known`, which covers all, or computed. */
export async function drawnNlls(params: SetUpParams, task: Task, known: BaseNlls | undefined, drawn: DrawnSamples): Promise<BaseNlls> {
  const { indices, rowsPerSample, ...set } = drawn;
  if (known) return row => known(rowsPerSample * elementAt(indices, Math.floor(row / rowsPerSample)) + (row % rowsPerSample));
  // The file in the run folder belongs to the sets whose evaluations it repeats.
  const [found] = await baseLogProbabilities({ ...params, runDir: undefined }, task, [{ ...set, name: 'drawn' }]);
  return required(found, 'the log-probabilities of the drawn samples');
}

function keyOf({ base, precision = FLOAT32 }: SetUpParams, sequences: readonly TokenSequence[]): string {
  const hash = createHash('sha256').update(JSON.stringify([VERSION, base.fingerprint, base.engine.description.name, precision]));
  for (const { ids, train, images = [] } of sequences) {
    hash.update(String(ids.length)).update(ids).update(train);
    for (const { key, text } of images) hash.update(key).update(text);
  }
  return hash.digest('hex').slice(0, 32);
}

/** Makes one pass over the answers with the base model, whose memory is freed before training. */
async function compute(
  { base, precision = FLOAT32, job, ranks, recipe }: SetUpParams,
  task: Task,
  sets: readonly BaseSet[],
): Promise<Float32Array[]> {
  job.phase('reference', `log-probabilities of the base model on the ${sets.map(({ name }) => name).join(' and ')} answers`);
  const { model } = task;
  const attachment = untouchedIn(model, precision, base.engine.hostFrom);
  logHosted(job, base.engine.description, model, attachment);
  // An evaluation of a recipe uses one device, whatever its run uses.
  const devices = Math.min(recipe.devices, base.engine.devices ?? 1);
  const shapes = sets.flatMap(({ source }) => source.plan.buckets);
  const session = await base.engine.compile({
    ...evaluationProgram({ task, attachment, parts: deviceParts({ devices }) }, shapes),
    places: attachment.hosted,
  });
  try {
    await loadVariables(session, {
      model: storedWeights(model, base.folder.weights, attachment),
      attachment,
    });
    const report = job.progress(
      'reference',
      sets.reduce((sum, { source }) => sum + source.plan.batchesPerEpoch, 0),
      'batches',
    );
    let before = 0;
    const results: Float32Array[] = [];
    for (const { sequences, source } of sets) {
      const starts = startsOf(sequences);
      const nlls = new Float32Array(required(starts.at(-1), 'the end of the last sequence'));
      for await (const { batches, done } of sharedBatches(source, { ranks, devices })) {
        job.checkStop();
        report(before + done);
        const [some] = batches;
        if (!some) continue;
        const outputs = await runForEach(session, evalSignature(some.bucket), { feeds: batches.map(batch => batch.feeds(1)), devices });
        for (const [i, batch] of batches.entries()) {
          const found = float32Of(required(outputs[i]?.nll, 'the losses of the batch'));
          for (const { begin, first, count } of targetRuns(batch.rows, starts)) nlls.set(found.subarray(begin, begin + count), first);
        }
      }
      // Zero for batches that another process computed.
      before += source.plan.batchesPerEpoch;
      results.push(ranks ? ranks.sumArrays(nlls) : nlls);
    }
    return results;
  } finally {
    await session.dispose();
  }
}

const startsOf = (sequences: readonly TokenSequence[]): Float64Array => targetStarts(sequences.map(countTargets), sequences.length);

function bySequence(sequences: readonly TokenSequence[], nlls: Float32Array): BaseNlls {
  const starts = startsOf(sequences);
  return sequence => nlls.subarray(starts[sequence], starts[sequence + 1]);
}

/** Reads cached NLLs. Returns undefined if the file does not hold them: if the cache cannot be read, they are computed. */
async function readNlls(file: string | undefined, key: string): Promise<Float32Array | undefined> {
  if (file === undefined || !existsSync(file)) return undefined;
  try {
    const source = await openSafetensors(file);
    try {
      if (!source.tensors.has(key)) return undefined;
      // Record the time of the last use.
      await utimes(file, new Date(), new Date());
      return await source.readFloat32(key);
    } finally {
      await source.close();
    }
  } catch {
    return undefined;
  }
}

const writeNlls = (file: string, sets: ReadonlyMap<string, Float32Array>): Promise<string> =>
  writeSafetensors(
    file,
    [...sets].map(([name, values]) => ({ name, dtype: 'F32', shape: [values.length], data: () => encodeFloat32(values, 'F32') })),
    {},
  );
