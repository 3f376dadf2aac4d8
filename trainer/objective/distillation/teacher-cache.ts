/**
 * The teacher's most likely tokens for a run, computed once before training. They are cached by everything that they depend on, and linked
 * into the run folder, so that a resumed run uses the same values and other machines can read them.
 */

import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { link, mkdir, rm, utimes } from 'node:fs/promises';
import path from 'node:path';
import type { Examples } from '../../data/tokens/example-store.ts';
import { pruneFolder } from '../../files/bounded-folder.ts';
import { copyDurably, removeHalfWritten } from '../../files/durable-file.ts';
import { requireRoom } from '../../job/require-room.ts';
import { readTokens } from '../../model/known-tokens.ts';
import { FLOAT32 } from '../../model/weight-storage.ts';
import { elementAt } from '../../narrow.ts';
import { messageOf } from '../../protocol/error-facts.ts';
import { RUN_FILES } from '../../protocol/run/run-files.ts';
import { grouped } from '../../protocol/text/format.ts';
import { RunError } from '../../run-error.ts';
import { checkSameWork } from '../check-same-work.ts';
import { checkVocabulary } from '../load-data.ts';
import type { SetUpParams } from '../task-setup.ts';
import { openTeacher, type Teacher } from './open-teacher.ts';
import { openTeacherFile, type TeacherFile, writeTeacherFile } from './teacher-file.ts';
import { type TeacherSet, teacherPass } from './teacher-pass.ts';

/** Increased when the same key produces other values than before. */
const VERSION = 1;
/** Cache size beyond which the least recently used entries are deleted: 64 tokens at each of a hundred million positions. */
const MAX_BYTES = 50e9;
const OWN_FILE = /^[0-9a-f]{32}\.safetensors$/;

/** The samples of one part of the data. */
export interface TeacherPart {
  readonly name: 'train' | 'held';
  readonly examples: Examples;
  /** [samples + 1], the first position of each sample, and the end. */
  readonly starts: Float64Array;
}

export const partLabel = ({ name }: Pick<TeacherPart, 'name'>): string => (name === 'train' ? 'training' : 'held-out');

interface Place {
  readonly part: TeacherPart;
  readonly key: string;
  readonly cacheFile: string;
  /** The file in the run folder; present for a training run. */
  readonly runFile: string | undefined;
}

interface CacheParams extends SetUpParams {
  readonly padId: number;
}

/**
 * The file of each part: from the run, from the cache, or computed by a pass of the teacher.
 * @param name of the teacher
 * @throws RunError 'stopped', 'unsupported', 'disk-full', 'ranks-differ'; errors of opening a model
 */
export async function teacherFiles(params: CacheParams, name: string, parts: readonly TeacherPart[]): Promise<TeacherFile[]> {
  const { context, job, ranks } = params;
  const isFirst = ranks?.isFirst !== false;
  const folder = path.join(context.cacheDir, 'teacher');
  await mkdir(folder, { recursive: true });
  if (isFirst) await removeHalfWritten(folder, file => OWN_FILE.test(file));
  const teacher = await openTeacher(params, name);
  try {
    const places = parts.map(part => placeOf(params, { folder, teacher, part }));
    checkSameWork(
      ranks,
      places.map(({ key }) => key),
    );
    const reopenAny = async (place: Place) => (await reopen(params, place, place.runFile)) ?? reopen(params, place, place.cacheFile);
    const found = isFirst ? await Promise.all(places.map(reopenAny)) : [];
    const isKnown = places.map((_, i) => found[i] !== undefined);
    const known = ranks ? ranks.first(isKnown) : isKnown;
    const missing = places.filter((_, i) => !known[i]);
    if (missing.length > 0) await compute(params, teacher, missing);
    else
      job.log('info', `the predictions of the teacher are taken from the cache (${places.map(({ cacheFile }) => cacheFile).join(', ')})`);
    if (isFirst) {
      if (missing.length > 0) await pruneFolder(folder, { own: OWN_FILE, maxBytes: MAX_BYTES });
      for (const { cacheFile, runFile } of places) if (runFile !== undefined && !existsSync(runFile)) await linkOrCopy(cacheFile, runFile);
    }
    // Another machine's cache lacks the files, but all processes can read the run folder.
    const at = places.map(({ cacheFile, runFile }) => (ranks && runFile !== undefined ? runFile : cacheFile));
    const shared = ranks ? ranks.first(at) : at;
    return await Promise.all(places.map(async (place, i) => found[i] ?? openFile(params, place, elementAt(shared, i))));
  } finally {
    await teacher.folder.weights.close();
  }
}

function placeOf(
  { base, precision = FLOAT32, recipe, runDir }: CacheParams,
  { folder, teacher, part }: { readonly folder: string; readonly teacher: Teacher; readonly part: TeacherPart },
): Place {
  const { top_k: topK, temperature } = recipe.distillation;
  const { fingerprint, vocabulary } = teacher;
  const hash = createHash('sha256').update(
    JSON.stringify([VERSION, fingerprint, vocabulary, topK, temperature, base.engine.description.name, precision]),
  );
  for (const { ids, train } of part.examples) hash.update(String(ids.length)).update(ids).update(train);
  const key = hash.digest('hex').slice(0, 32);
  const runFile = runDir === undefined ? undefined : path.join(runDir, RUN_FILES[part.name === 'train' ? 'teacherTrain' : 'teacherHeld']);
  return { part, key, runFile, cacheFile: path.join(folder, `${key}.safetensors`) };
}

function openFile({ recipe, base }: CacheParams, { part }: Place, file: string): Promise<TeacherFile> {
  const { top_k: topK, temperature } = recipe.distillation;
  const vocabulary = base.model.kind === 'causal' ? base.model.vocabularySize : 0;
  return openTeacherFile({ path: file, examples: part.examples, part: partLabel(part), topK, temperature, vocabulary });
}

/** Reopens a file. Returns undefined if it does not hold the part: if the cache cannot be read, the values are computed. */
async function reopen(params: CacheParams, place: Place, file: string | undefined): Promise<TeacherFile | undefined> {
  if (file === undefined || !existsSync(file)) return undefined;
  try {
    const opened = await openFile(params, place, file);
    if (opened.metadata.key !== place.key) throw new Error('it is of another teacher, or of other data');
    // Record the time of the last use.
    await utimes(file, new Date(), new Date()).catch(() => undefined);
    return opened;
  } catch (error) {
    params.job.log('warning', `${file} cannot be used (${messageOf(error)}) and is computed again`);
    await rm(file, { force: true });
    return undefined;
  }
}

async function compute(params: CacheParams, teacher: Teacher, missing: readonly Place[]): Promise<void> {
  const { recipe, job, ranks } = params;
  const { top_k: k, temperature } = recipe.distillation;
  for (const { part } of missing) checkFits(teacher, part);
  const positions = missing.reduce((sum, { part }) => sum + positionsOf(part), 0);
  const isFirst = ranks?.isFirst !== false;
  if (isFirst)
    await requireRoom(path.dirname(elementAt(missing, 0).cacheFile), {
      bytes: positions * (8 * k + 4),
      what: 'the predictions of the teacher',
      advice: 'Lower distillation.top_k, use fewer samples (data.max_samples), or make room',
    });
  const labels = missing.map(({ part }) => partLabel(part)).join(' and ');
  job.phase('teacher', `predictions of ${teacher.name} for ${grouped(positions)} tokens of the ${labels} samples, ${k} each`);
  if (!isFirst)
    return teacherPass(
      { ...params, teacher },
      missing.map(({ part }) => ({ ...part, put: undefined })),
    );
  // Nested calls, so that one pass fills all files and each file appears once all are complete.
  const fill = async ([first, ...others]: readonly Place[], sets: readonly TeacherSet[]): Promise<void> => {
    if (!first) return teacherPass({ ...params, teacher }, sets);
    const { part, key, cacheFile } = first;
    const metadata = { format: 'rowtune-teacher', key, temperature: String(temperature), teacher: teacher.name };
    await writeTeacherFile(cacheFile, { positions: positionsOf(part), k, metadata }, put => fill(others, [...sets, { ...part, put }]));
  };
  await fill(missing, []);
}

/** @throws DataError, RunError 'unsupported' */
function checkFits({ name, model }: Teacher, { examples }: TeacherPart): void {
  if (examples.largestId >= readTokens(model)) checkVocabulary(examples, model);
  let longest = 0;
  for (const { length } of examples.sizes) longest = Math.max(longest, length);
  if (longest > model.maxPositions)
    throw new RunError(
      'unsupported',
      `a sample has ${longest} tokens, but the teacher ${name} reads at most ${model.maxPositions}`,
      `Set max_length to at most ${model.maxPositions}`,
    );
}

const positionsOf = ({ starts }: TeacherPart): number => starts.at(-1) ?? 0;

/** Links a file, which takes no extra space; file systems without links, and other disks, get a copy. */
const linkOrCopy = (from: string, to: string): Promise<void> => link(from, to).catch(() => copyDurably(from, to));
