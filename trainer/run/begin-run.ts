/** Begins a run in its folder: takes the lock, and sets an earlier run aside until the new one has done its first update. */
import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { removeHalfWritten, syncFolder, writeTextFile } from '../files/durable-file.ts';
import { makeFolder, renameIfThere } from '../files/durable-folder.ts';
import { whyNotWritable } from '../files/output-place.ts';
import { RUN_FILES } from '../protocol/run-files.ts';
import { RunError, systemErrorCode } from '../run-error.ts';
import { listCheckpoints } from './checkpoint/checkpoint-folders.ts';
import { clearRunFolder, clearUnbegunRun, isRunFile, isRunFolder, REPLACED, RUN_FILE_NAMES } from './run-folder.ts';
import { LOCK_FILE, takeRunLock } from './run-lock.ts';
import { endedBeforeFirstStep, STATE_FILE } from './run-state.ts';

export interface BegunFolder {
  /** Gives up the run that was replaced: the new one has done an update. */
  readonly keepNew: () => Promise<void>;
  /** Puts the run that was replaced back, where there is one: the new one was refused before its first update. @returns whether it did */
  readonly putBack: () => Promise<boolean>;
  /** Gives the lock back. */
  readonly release: () => void;
}

/** @throws RunError 'output-unusable' where no run can be written to a folder; asked before a worker starts */
export async function requireUsableOutput(runDir: string): Promise<void> {
  const reason = await whyNotWritable(runDir);
  if (reason !== undefined) throw unusable(runDir, reason);
}

const unusable = (runDir: string, reason: string): RunError =>
  new RunError('output-unusable', `no run can be written to ${runDir}: ${reason}`, 'Choose another output_dir');

/**
 * Makes the folder for a new run and takes its lock. What a run has left that did no update is always replaced; with `overwrite` any run is.
 * Files that are not a run's are never touched.
 * @param say is told what was taken over or replaced
 * @throws RunError 'output-not-empty' where something is in it and may not be replaced, 'run-busy' where a run is at work there,
 *   'output-unusable' where nothing can be written
 */
export async function beginRunFolder(runDir: string, overwrite: boolean, say: (message: string) => void): Promise<BegunFolder> {
  await requireUsableOutput(runDir);
  const release = await takeFolder(runDir, say);
  try {
    await removeHalfWritten(runDir, isRunFile);
    await recoverReplaced(runDir, say);
    const isUnbegun = await endedBeforeFirstStep(runDir);
    const present = (await readdir(runDir)).filter(name => name !== LOCK_FILE && name !== REPLACED);
    checkReplaceable({ runDir, present, overwrite, isUnbegun, isRun: await isRunFolder(runDir) });
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
    const code = systemErrorCode(error);
    if (code === 'EEXIST' || code === 'ENOTDIR') throw notEmpty(runDir, `holds a file ${LOCK_FILE} that rowtune did not write`);
    if (error instanceof RunError || code === undefined || code === 'ENOSPC' || code === 'EDQUOT') throw error;
    throw unusable(runDir, (error as Error).message);
  }
}

interface Found {
  readonly runDir: string;
  readonly present: readonly string[];
  readonly overwrite: boolean;
  readonly isUnbegun: boolean;
  readonly isRun: boolean;
}

function checkReplaceable({ runDir, present, overwrite, isUnbegun, isRun }: Found): void {
  if (present.length === 0 || isUnbegun) return;
  const inTheWay = present.filter(isRunFile);
  if (overwrite && (isRun || inTheWay.length === 0)) return;
  if (overwrite)
    throw notEmpty(runDir, `is not a run, and overwrite_output_dir replaces only runs; files in the way: ${inTheWay.sort().join(', ')}`);
  throw new RunError(
    'output-not-empty',
    `the output folder ${runDir} is not empty`,
    'Choose another output_dir, go on with what is there by: rowtune resume, or replace it with overwrite_output_dir=true',
  );
}

const notEmpty = (runDir: string, what: string): RunError =>
  new RunError('output-not-empty', `the output folder ${runDir} ${what}`, 'Choose another output_dir, or move the files away');

/** state.json goes last: it tells a run that is set aside whole from one whose move was broken off. */
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

/** Gives up the run that another has replaced. Its folder loses its name first: what is half deleted must not be put back. */
export async function dropReplaced(runDir: string): Promise<void> {
  const gone = path.join(runDir, `${REPLACED}.gone`);
  await rm(gone, { recursive: true, force: true });
  if (await renameIfThere(path.join(runDir, REPLACED), gone)) await rm(gone, { recursive: true, force: true });
}

/** Returns false where no run was set aside. Broken off at any point, it goes on where it was. */
async function putBack(runDir: string): Promise<boolean> {
  const aside = path.join(runDir, REPLACED);
  const names = await readdir(aside).catch((): string[] => []);
  if (names.length === 0) return false;
  // With both, the one here is the new run's; alone in its folder, what is here is the old run's already.
  if (names.includes(STATE_FILE) && (await readdir(runDir)).includes(STATE_FILE)) await clearRunFolder(runDir);
  for (const name of RUN_FILE_NAMES) await renameIfThere(path.join(aside, name), path.join(runDir, name));
  await syncFolder(runDir);
  await dropReplaced(runDir);
  return true;
}

/**
 * After a kill: a run that was being replaced is put back, unless the new one has a checkpoint. Only for the holder of the lock.
 * @param say is told
 */
export async function recoverReplaced(runDir: string, say: (message: string) => void): Promise<void> {
  await rm(path.join(runDir, `${REPLACED}.gone`), { recursive: true, force: true });
  const names = await readdir(path.join(runDir, REPLACED)).catch((): string[] => []);
  const isNewRun = names.includes(STATE_FILE) && (await listCheckpoints(runDir)).length > 0;
  if (isNewRun) await dropReplaced(runDir);
  else if (await putBack(runDir))
    say(`the run that was being replaced is back in ${runDir}: its successor was killed before its first update`);
}
