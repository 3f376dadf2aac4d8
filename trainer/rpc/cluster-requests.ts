/** Requests about Slurm: the profiles of a machine, and submissions. */

import path from 'node:path';
import { realPath } from '../files/real-path.ts';
import { messageOf } from '../protocol/error-facts.ts';
import type { JobContext } from '../protocol/messages/job-messages.ts';
import type { RequestParams } from '../protocol/messages/rpc-messages.ts';
import type { ClusterProfile, ClusterSubmission, SubmitParams } from '../protocol/run/cluster.ts';
import { counted, processesText } from '../protocol/text/format.ts';
import type { AskReader } from '../reader/reader.ts';
import { isSweepFolder } from '../run/sweep-folder.ts';
import { describeProfile, listProfiles, readProfile } from '../slurm/profile.ts';
import { type SubmittedRun, submitNewRun, submitRestOfRun } from '../slurm/submit-run.ts';
import { ownCommand, type SubmitOptions } from '../slurm/submit-script.ts';
import { type SubmittedSweep, submitNewSweep, submitRestOfSweep } from '../slurm/submit-sweep.ts';
import { DaemonError } from './daemon-error.ts';
import { recipeOf } from './recipes.ts';

export interface ClusterServices {
  readonly reader: AskReader;
  readonly jobSettings: Omit<JobContext, 'baseDir'>;
  /** The folder of files that the user writes for all projects, such as a profile. */
  readonly configDir?: string | undefined;
  /** The program, with its first arguments, that a job starts; by default, that of this process. */
  readonly command?: readonly string[] | undefined;
}

const foldersOf = (folder: string, { configDir }: ClusterServices): readonly string[] =>
  configDir === undefined ? [folder] : [folder, configDir];

/** The profiles; never empty, because the cluster's own defaults apply without a file. */
export async function listClusterProfiles(
  { folder, file }: RequestParams<'clusterProfiles'>,
  services: ClusterServices,
): Promise<{ readonly profiles: readonly ClusterProfile[] }> {
  const files = file === undefined ? await listProfiles(foldersOf(folder, services)) : [file];
  if (files.length === 0) return { profiles: [{ text: describeProfile(await readProfile(undefined, [])), isValid: true }] };
  return { profiles: await Promise.all(files.map(profileOf)) };
}

async function profileOf(file: string): Promise<ClusterProfile> {
  try {
    return { file, text: describeProfile(await readProfile(file, [])), isValid: true };
  } catch (error) {
    return { file, text: messageOf(error), isValid: false };
  }
}

/** The answers by request id: a client may repeat a request whose answer it has not received. */
const answered = new Map<string, Promise<ClusterSubmission>>();
const MAX_ANSWERED = 100;

/**
 * Submits a run or sweep.
 * @param taken folders of the daemon's own jobs, by their real paths
 * @throws RunError as `submitNewRun` and `submitNewSweep`
 */
export function submitToCluster(params: SubmitParams, services: ClusterServices, taken: ReadonlySet<string>): Promise<ClusterSubmission> {
  const known = answered.get(params.id);
  if (known !== undefined) return known;
  const answer = submit(params, services, taken);
  answered.set(params.id, answer);
  // A failed submission may be retried.
  answer.catch(() => answered.delete(params.id));
  const [oldest] = answered.keys();
  if (answered.size > MAX_ANSWERED && oldest !== undefined) answered.delete(oldest);
  return answer;
}

async function submit({ what, profile }: SubmitParams, services: ClusterServices, taken: ReadonlySet<string>): Promise<ClusterSubmission> {
  const optionsIn = async (folder: string): Promise<SubmitOptions> => ({
    profile: await readProfile(profile, foldersOf(folder, services)),
    command: services.command ?? ownCommand(),
    // No person has typed this command.
    opensPorts: false,
  });
  if (what.kind === 'continue') {
    const { folder } = what;
    if (taken.has(await realPath(folder)))
      throw new DaemonError('run-busy', `a job of the daemon uses ${folder}`, { hint: 'Stop it first' });
    const options = await optionsIn(path.dirname(folder));
    return isSweepFolder(folder) ? ofSweep(await submitRestOfSweep(folder, options)) : ofRun(await submitRestOfRun(folder, options));
  }
  const { kind, recipe: source } = what;
  const { fileName: recipeFile, baseDir } = source;
  const recipe = await recipeOf(source, services.reader);
  const options = await optionsIn(baseDir);
  const { engineFromEnvironment: engine } = services.jobSettings;
  // The environment of the nodes differs from this daemon's.
  const fixed = recipe.engine === 'auto' && engine !== undefined ? [`engine=${engine}`] : [];
  if (kind === 'train') return ofRun(await submitNewRun({ recipe, recipeFile, baseDir, taken }, options));
  if (recipe.sweep.over === undefined)
    throw new DaemonError('bad-recipe', `${recipeFile} has no sweep section`, {
      hint: 'Add one, for example: sweep: {over: {learning_rate: [1.0e-5, 1.0e-4, 1.0e-3]}}',
    });
  return ofSweep(await submitNewSweep({ recipe, source, fixed, taken }, options));
}

const ofRun = ({ jobId, runDir, processes }: SubmittedRun): ClusterSubmission => ({
  jobId,
  folder: runDir,
  text: processesText(processes),
});

const ofSweep = ({ jobId, sweepDir, runs, workers, processes }: SubmittedSweep): ClusterSubmission => ({
  jobId,
  folder: sweepDir,
  text: `${counted(runs, 'run')} of ${processesText(processes)}, ${counted(workers, 'worker')}`,
});
