/**
 * The batch scripts of a run and of the workers of a sweep. They start or continue the work, and requeue themselves when their time is
 * over.
 */
import path from 'node:path';
import { RUN_FILES, SUBMISSION } from '../protocol/run/run-files.ts';
import type { SlurmProfile } from './profile.ts';

export interface ScriptParams {
  readonly profile: SlurmProfile;
  readonly name: string;
  readonly runDir: string;
  readonly files: SlurmFiles;
  /** The program and its first arguments, such as node and its script. */
  readonly command: readonly string[];
}

/** Files next to the folder of a run that Slurm starts, on a disk that all nodes share. */
export interface SlurmFiles {
  readonly folder: string;
  readonly recipe: string;
  readonly script: string;
  /** Record with the id of the job. */
  readonly record: string;
  /** Exists if a user has stopped the run, so the job does not continue by itself. */
  readonly stop: string;
}

export function slurmFiles(runDir: string): SlurmFiles {
  const folder = `${runDir}${SUBMISSION.suffix}`;
  const at = (name: string): string => path.join(folder, name);
  return { folder, recipe: at('recipe.rowtune.yaml'), script: at('job.sh'), record: at(SUBMISSION.record), stop: at('stop') };
}

export const slurmLog = ({ folder }: SlurmFiles, jobId: string): string => path.join(folder, `log-${jobId}.txt`);

/** Returns the name of a task of a job array, as in its log. */
export const taskName = (jobId: string, task: string): string => `${jobId}_${task}`;

/** Quotes a text for a shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** Returns the lines of a script before its commands. @param tasks number of tasks of a job array */
function scriptHead({ profile, name }: Pick<ScriptParams, 'profile' | 'name'>, tasks?: number): string {
  const options: readonly (readonly [string, string | number | undefined])[] = [
    ['job-name', `rowtune-${name.replaceAll(/[^\w.-]/g, '-')}`],
    ['array', tasks === undefined ? undefined : `0-${tasks - 1}`],
    ['partition', profile.partition],
    ['account', profile.account],
    ['qos', profile.qos],
    ['constraint', profile.constraint],
    ['nodes', profile.nodes],
    ['ntasks-per-node', profile.tasks_per_node],
    ['cpus-per-task', profile.cpus_per_task],
    ['gpus-per-task', profile.gpus_per_task],
    ['mem', profile.memory],
    ['time', profile.time],
    // Sent to the processes of the run, not to this script.
    ['signal', `TERM@${profile.notice_seconds}`],
    ['open-mode', 'append'],
  ];
  return `#!/bin/sh
${options.flatMap(([option, value]) => (value === undefined ? [] : [`#SBATCH --${option}=${value}`])).join('\n')}
#SBATCH --requeue
${profile.sbatch.map(option => `#SBATCH ${option}\n`).join('')}`;
}

/** Returns an option of srun: a step gets the cores that its job requests only if it requests them too. */
const stepCores = ({ cpus_per_task: cpus }: SlurmProfile): string => (cpus === undefined ? '' : ` --cpus-per-task=${cpus}`);

/** Returns the options of a worker's step. A worker starts the processes of a run itself, so the step gets the resources of all of them. */
function workerStep(profile: SlurmProfile): string {
  const processes = profile.tasks_per_node;
  if (processes === 1) return `--ntasks=1${stepCores(profile)}`;
  const { cpus_per_task: cpus = 1, gpus_per_task: gpus } = profile;
  return `--ntasks=1 --cpus-per-task=${cpus * processes}${gpus === undefined ? '' : ` --gpus-per-task=${gpus * processes}`}`;
}

export function jobScript({ profile, name, runDir, files, command }: ScriptParams): string {
  const state = quoted(path.join(runDir, 'state.json'));
  return `${scriptHead({ profile, name })}# Written by rowtune train --on slurm.
${profile.setup}
says() { grep -q "\\"state\\": \\"$1\\"" ${state} 2>/dev/null; }
# Slurm may start it once more: a job that was preempted and has put itself back is requeued twice.
if says finished || [ -e ${quoted(files.stop)} ]; then exit 0; fi
if [ -e ${quoted(path.join(runDir, RUN_FILES.recipe))} ]; then
  set -- resume ${quoted(runDir)}
else
  set -- train ${quoted(files.recipe)} ${quoted(`output_dir=${runDir}`)}
fi
newest() { ls -d ${quoted(path.join(runDir, RUN_FILES.checkpoints))}/step-* 2>/dev/null | sort -V | tail -n 1; }
before=$(newest)
srun --mpi=${profile.mpi}${stepCores(profile)} ${command.map(quoted).join(' ')} "$@" --no-daemon
status=$?
# Stopped by a notice of Slurm, and not by the user: the run has saved, and continues when it is its turn again.
if says stopped && [ ! -e ${quoted(files.stop)} ]; then
  if [ "$(newest)" != "$before" ]; then scontrol requeue "$SLURM_JOB_ID"
  else echo 'error: no update was saved since this job began: give it more time, or a shorter notice'; fi
fi
exit $status
`;
}

export interface SweepScriptParams extends Omit<ScriptParams, 'runDir'> {
  readonly sweepDir: string;
  /** Number of tasks of the array. */
  readonly tasks: number;
}

/** Exit status of a worker that had to stop and has saved (EX_TEMPFAIL of sysexits.h). */
export const AGAIN_STATUS = 75;

/** Returns a job array whose tasks are the workers of a sweep: each trains one part of a run after another. */
export function sweepScript({ profile, name, sweepDir, files, tasks, command }: SweepScriptParams): string {
  return `${scriptHead({ profile, name }, tasks)}# Written by rowtune sweep --on slurm.
${profile.setup}
if [ -e ${quoted(files.stop)} ]; then exit 0; fi
task=${taskName('"$SLURM_ARRAY_JOB_ID"', '"$SLURM_ARRAY_TASK_ID"')}
srun ${workerStep(profile)} ${command.map(quoted).join(' ')} sweep ${quoted(sweepDir)} --worker "$task"
status=$?
if [ -e ${quoted(files.stop)} ]; then exit 0; fi
# ${AGAIN_STATUS}: stopped by a notice of Slurm, and saved. Above 128: killed; its part is free for all after a while.
if [ $status -eq ${AGAIN_STATUS} ] || [ $status -gt 128 ]; then scontrol requeue "$task"; fi
exit $status
`;
}
