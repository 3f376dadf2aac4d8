/** Starts a run in its folder: takes the lock, and sets an earlier run aside until the new one has made its first update. */
import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { removeHalfWritten, syncFolder, writeTextFile } from '../files/durable-file.ts';
import { makeFolder, renameIfThere } from '../files/durable-folder.ts';
import { whyNotWritable } from '../files/output-place.ts';
import { codeOf, messageOf } from '../protocol/error-facts.ts';
import { isActive } from '../protocol/run/run-activity.ts';
import { RUN_FILES, STATE_FILE } from '../protocol/run/run-files.ts';
import { shellWord } from '../protocol/text/shell-word.ts';
import { RunError } from '../run-error.ts';
import { listCheckpoints } from './checkpoint/checkpoint-folders.ts';
import { clearRunFolder, clearUnbegunRun, isRunFile, isRunFolder, REPLACED, RUN_FILE_NAMES, summarizeRun } from './run-folder.ts';
import { LOCK_FILE, runBusy, takeRunLock } from './run-lock.ts';
import { endedBeforeFirstStep } from './run-state.ts';

export interface BegunFolder {
  /** Deletes the replaced run, because the new one has made an update. */
  readonly keepNew: () => Promise<void>;
  /** Restores the replaced run, if there is one, because the new one failed before its first update. @returns whether it did */
  readonly putBack: () => Promise<boolean>;
  /** Releases the lock. */
  readonly release: () => void;
}

/** @throws RunError 'output-unusable' if no run can be written to the folder; checked before a worker starts */
export async function requireUsableOutput(runDir: string): Promise<void> {
  const reason = await whyNotWritable(runDir);
  if (reason !== undefined) throw unusable(runDir, reason);
}

const unusable = (runDir: string, reason: string): RunError =>
  new RunError('output-unusable', `no run can be written to ${runDir}: ${reason}`, 'Choose another output_dir');

/**
 * Creates the folder for a new run and takes its lock. The files of a run without an update are always replaced; with `overwrite`, those of
 * any run. Files of other origin are never touched.
 * @param say reports takeovers and replacements
 * @throws RunError 'output-not-empty' if the folder contains files that must not be replaced, 'run-busy' if a run is active there,
 * 'output-unusable' if nothing can be written
 */
export async function beginRunFolder(runDir: string, overwrite: boolean, say: (message: string) => void): Promise<BegunFolder> {
  await requireUsableOutput(runDir);
  const release = await takeFolder(runDir, say);
  try {
    await removeHalfWritten(runDir, isRunFile);
    await recoverReplaced(runDir, say);
    const { present, isUnbegun } = await requireReplaceable(runDir, overwrite);
    if (present.some(isRunFile))
      say(
        `replacing the run in ${runDir}${isUnbegun ? `, which ended before its first update; its log is kept as ${RUN_FILES.earlierLog}` : ''}`,
      );
    if (isUnbegun) await clearUnbegunRun(runDir);
    else await setAside(runDir);
    return { keepNew: () => dropReplaced(runDir), putBack: () => putBack(runDir), release };
  } catch (error) {
    release();
    throw error;
  }
}

async function takeFolder(runDir: string, say: (message: string) => void): Promise<() => void> {
  try {
    await makeFolder(runDir);
    return takeRunLock(runDir, say);
  } catch (error) {
    const code = codeOf(error);
    if (code === 'EEXIST' || code === 'ENOTDIR') throw notEmpty(runDir, `holds a file ${LOCK_FILE} that rowtune did not write`);
    if (error instanceof RunError || code === undefined || code === 'ENOSPC' || code === 'EDQUOT') throw error;
    throw unusable(runDir, messageOf(error));
  }
}

interface Found {
  /** The names in the folder. */
  readonly present: readonly string[];
  /** True if the run in the folder ended before its first update. */
  readonly isUnbegun: boolean;
}

/** @throws RunError 'output-not-empty' if the folder contains files that a new run must not replace, 'run-busy' if a run is active there */
export async function requireReplaceable(runDir: string, overwrite: boolean): Promise<Found> {
  const run = await summarizeRun(runDir);
  if (run !== undefined && isActive(run.state)) throw runBusy(runDir, run);
  const present = (await readdir(runDir)).filter(name => name !== LOCK_FILE && name !== REPLACED);
  const inTheWay = present.filter(isRunFile);
  // A run that is killed after its folder was cleared, but before it wrote a state, leaves only the earlier log.
  const isUnbegun = inTheWay.join() === RUN_FILES.earlierLog || (await endedBeforeFirstStep(runDir));
  const isRun = await isRunFolder(runDir);
  if (present.length === 0 || isUnbegun || (overwrite && (isRun || inTheWay.length === 0))) return { present, isUnbegun };
  if (overwrite)
    throw notEmpty(runDir, `is not a run, and overwrite_output_dir replaces only runs; files in the way: ${inTheWay.sort().join(', ')}`);
  throw new RunError(
    'output-not-empty',
    `the output folder ${runDir} is not empty`,
    `${isRun ? `Continue its run with: rowtune resume ${shellWord(runDir)}. Or choose` : 'Choose'} another output_dir, or replace it with overwrite_output_dir: true`,
  );
}

const notEmpty = (runDir: string, what: string): RunError =>
  new RunError('output-not-empty', `the output folder ${runDir} ${what}`, 'Choose another output_dir, or move the files away');

/** Moves the files of a run aside. state.json is moved last: it marks a run that was set aside completely. */
async function setAside(runDir: string): Promise<void> {
  if (!(await readdir(runDir)).some(isRunFile)) return;
  const aside = path.join(runDir, REPLACED);
  await makeFolder(aside);
  for (const name of RUN_FILE_NAMES) {
    const isThere = await renameIfThere(path.join(runDir, name), path.join(aside, name));
    if (name === STATE_FILE && !isThere) await writeTextFile(path.join(aside, name), '');
  }
  await syncFolder(aside);
  await syncFolder(runDir);
}

/** Deletes the replaced run. Its folder is renamed first: a half-deleted run must not be restored. */
export async function dropReplaced(runDir: string): Promise<void> {
  const gone = path.join(runDir, `${REPLACED}.gone`);
  await rm(gone, { recursive: true, force: true });
  if (await renameIfThere(path.join(runDir, REPLACED), gone)) await rm(gone, { recursive: true, force: true });
}

/** Restores a run that was set aside. Returns false if there is none. If interrupted at any point, it continues from there. */
async function putBack(runDir: string): Promise<boolean> {
  const aside = path.join(runDir, REPLACED);
  const names = await readdir(aside).catch((): string[] => []);
  if (names.length === 0) return false;
  // If both exist, the one here belongs to the new run; otherwise it already belongs to the old one.
  if (names.includes(STATE_FILE) && (await readdir(runDir)).includes(STATE_FILE)) await clearRunFolder(runDir);
  for (const name of RUN_FILE_NAMES) await renameIfThere(path.join(aside, name), path.join(runDir, name));
  await syncFolder(runDir);
  await dropReplaced(runDir);
  return true;
}

/**
 * Restores, after a kill, a run that was being replaced, unless the new one has a checkpoint. Only for the holder of the lock.
 * @param say reports the restoration
 */
export async function recoverReplaced(runDir: string, say: (message: string) => void): Promise<void> {
  await rm(path.join(runDir, `${REPLACED}.gone`), { recursive: true, force: true });
  const names = await readdir(path.join(runDir, REPLACED)).catch((): string[] => []);
  const isNewRun = names.includes(STATE_FILE) && (await listCheckpoints(runDir)).length > 0;
  if (isNewRun) await dropReplaced(runDir);
  else if (await putBack(runDir)) say(`the previous run is back in ${runDir}, because the new one was killed before its first update`);
}
