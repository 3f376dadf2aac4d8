/** Adds places on a cluster to runs, and lists runs that wait for a cluster and have no folder yet. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { mapAtOnce } from '../machine/map-at-once.ts';
import type { RunInfo, RunList } from '../protocol/messages/rpc-messages.ts';
import { type ClusterPlace, isOnCluster } from '../protocol/run/cluster.ts';
import { folderName } from '../protocol/run/run-names.ts';
import type { SweepRun } from '../protocol/run/sweep.ts';
import { inOrder, listRuns, type RunSummary, summarizeRun } from '../run/run-folder.ts';
import { isSweepFolder } from '../run/sweep-folder.ts';
import { slurmFiles, slurmLog } from '../slurm/job-script.ts';
import { describeJob, isPending, type QueuedJob, readQueue } from '../slurm/queue.ts';
import { isAlive } from '../slurm/slurm.ts';
import { readSubmission, type Submission } from '../slurm/submission.ts';
import { readSweep } from '../sweep/sweep-status.ts';
import { Recent } from './recent.ts';

/** Milliseconds to cache answers: Slurm's controller and a shared disk serve a whole cluster. */
const KEEP_MS = 3000;
/** Number of runs whose records are read at the same time. */
const READ_AT_ONCE = 16;
/** How long a job that ended before its run began is shown: a day. */
const SHOWN_WITHOUT_FOLDER_MS = 86_400_000;

interface SeenQueue {
  /** The time at which Slurm was queried. */
  readonly atMs: number;
  /** The user's jobs; undefined if Slurm does not answer, as on a machine that only shares the disk. */
  readonly jobs: ReadonlyMap<string, QueuedJob> | undefined;
}

const queue = new Recent(KEEP_MS, async (): Promise<SeenQueue> => ({ atMs: Date.now(), jobs: await readQueue().catch(() => undefined) }));

/** The runs of a sweep by folder. @throws RunError 'bad-sweep' */
const sweeps = new Recent(KEEP_MS, async (sweepDir): Promise<ReadonlyMap<string, SweepRun>> => {
  const status = await readSweep(sweepDir);
  return new Map(status?.runs.map(run => [run.runDir, run]));
});

/** Runs at or below the folders, including those that wait for a cluster. */
export async function listRunsAnywhere(folders: readonly string[]): Promise<RunList> {
  const { runs, submitted, truncated } = await listRuns(folders);
  const submissionOf = readOnce();
  const begun = await mapAtOnce(runs, READ_AT_ONCE, run => withPlace(run, submissionOf));
  const known = new Set(runs.map(({ runDir }) => runDir));
  // The record of a submission is next to its folder, so a walk below the folder does not find it.
  const others = [...new Set([...submitted, ...folders])].filter(folder => !known.has(folder));
  const waiting = await mapAtOnce(others, READ_AT_ONCE, folder =>
    isSweepFolder(folder) ? waitingOfSweep(folder, submissionOf) : waitingAt(folder, submissionOf),
  );
  const found = new Map(waiting.flat().map(run => [run.runDir, run]));
  return {
    runs: inOrder([...begun, ...[...found.values()].filter(({ runDir }) => !known.has(runDir))]),
    truncated,
    missing: folders.filter(folder => !existsSync(folder)),
  };
}

/** The run in a folder; undefined if the folder is not a run and no run waits to begin there. */
export async function readRun(runDir: string): Promise<RunInfo | undefined> {
  const run = await summarizeRun(runDir);
  const submissionOf = readOnce();
  return run === undefined ? (await waitingAt(runDir, submissionOf))[0] : withPlace(run, submissionOf);
}

/** The place on a cluster of a run that Slurm trains or has trained. */
async function placeOf({ runDir, sweepDir, state, host }: RunSummary, submissionOf: SubmissionOf): Promise<ClusterPlace | undefined> {
  const submission = await submissionOf(sweepDir ?? runDir);
  if (submission === undefined) return undefined;
  if (sweepDir === undefined) {
    const place = await placeOfJob(submission, runDir, state === 'finished');
    return { ...place, node: place.node ?? host };
  }
  const member = (await sweeps.get(sweepDir).catch(() => undefined))?.get(runDir);
  return member && placeOfMember(submission, member, await jobOf(submission));
}

const withPlace = async (run: RunSummary, submissionOf: SubmissionOf): Promise<RunInfo> => ({
  ...run,
  cluster: await placeOf(run, submissionOf),
});

/** Returns the submission for the folder of a run or a sweep. */
type SubmissionOf = (folder: string) => Promise<Submission | undefined>;

/** Returns a function that reads each record once: a listing requests a sweep's record for each of its runs. */
function readOnce(): SubmissionOf {
  const known = new Map<string, Promise<Submission | undefined>>();
  return folder => {
    // A damaged record is ignored.
    const found = known.get(folder) ?? readSubmission(folder).catch(() => undefined);
    known.set(folder, found);
    return found;
  };
}

async function jobOf({ id, submittedAt }: Submission): Promise<QueuedJob | undefined> {
  const { atMs, jobs } = await queue.get('');
  if (jobs === undefined || jobs.has(id) || Date.parse(submittedAt) < atMs) return jobs?.get(id);
  // The submission is newer than the cached queue, so query again.
  return (await queue.get(id)).jobs?.get(id);
}

async function placeOfJob(submission: Submission, runDir: string, isFinished: boolean): Promise<ClusterPlace> {
  const { id } = submission;
  const job = isFinished ? undefined : await jobOf(submission);
  const file = slurmLog(slurmFiles(runDir), id);
  const log = existsSync(file) ? file : undefined;
  if (job === undefined) return { jobId: id, phase: 'ended', text: 'ended', log };
  const node = job.tasks.find(({ nodes }) => nodes !== '')?.nodes;
  return { jobId: id, phase: phaseOf(job), text: describeJob(job), node, log };
}

function phaseOf({ tasks }: QueuedJob): ClusterPlace['phase'] {
  if (!tasks.some(isAlive)) return 'ended';
  return tasks.some(task => isAlive(task) && !isPending(task)) ? 'running' : 'waiting';
}

/** The place of a run in a sweep; no task of the job array belongs to it alone. */
function placeOfMember({ id }: Submission, { state, node, log }: SweepRun, job: QueuedJob | undefined): ClusterPlace {
  const phase = job === undefined ? 'ended' : phaseOf(job);
  const place = { jobId: id, node, log };
  const where = node === undefined ? '' : ` on ${node}`;
  if (state === 'running') return { ...place, phase: 'running', text: `running${where}` };
  if (state === 'finished' || state === 'failed' || job === undefined || phase === 'ended')
    return { ...place, phase: 'ended', text: `ended${where}` };
  const next = phase === 'waiting' ? describeJob(job) : 'waits for a worker';
  return { ...place, phase: 'waiting', text: state === 'paused' ? `paused${where}; ${next}` : next };
}

/** The entry of a run, or of a run in a sweep, that waits for a cluster. */
async function waitingAt(runDir: string, submissionOf: SubmissionOf): Promise<readonly RunInfo[]> {
  const parent = path.dirname(runDir);
  if (isSweepFolder(parent)) return (await waitingOfSweep(parent, submissionOf)).filter(run => run.runDir === runDir);
  return isSweepFolder(runDir) ? [] : waitingRun(runDir, submissionOf);
}

async function waitingRun(runDir: string, submissionOf: SubmissionOf): Promise<readonly RunInfo[]> {
  const submission = await submissionOf(runDir);
  if (submission === undefined) return [];
  const cluster = await placeOfJob(submission, runDir, false);
  const { jobId } = cluster;
  if (isOnCluster(cluster)) return [infoOf({ runDir, submission, cluster, state: 'queued' })];
  const isNew = Date.now() - Date.parse(submission.submittedAt) < SHOWN_WITHOUT_FOLDER_MS;
  if (!isNew || existsSync(slurmFiles(runDir).stop) || (await queue.get('')).jobs === undefined) return [];
  return [infoOf({ runDir, submission, cluster, state: 'failed', reason: `Job ${jobId} of Slurm has ended, and the run had not begun.` })];
}

async function waitingOfSweep(sweepDir: string, submissionOf: SubmissionOf): Promise<readonly RunInfo[]> {
  const submission = await submissionOf(sweepDir);
  const job = submission && (await jobOf(submission));
  if (submission === undefined || job === undefined) return [];
  const members = await sweeps.get(sweepDir).catch(() => undefined);
  return [...(members?.values() ?? [])].flatMap(member => {
    // A running one was taken by a worker, which may not have created its folder yet.
    if (member.state !== 'waiting' && member.state !== 'running') return [];
    const cluster = placeOfMember(submission, member, job);
    const state = member.state === 'waiting' ? 'queued' : 'preparing';
    return isOnCluster(cluster) ? [infoOf({ runDir: member.runDir, sweepDir, submission, cluster, state })] : [];
  });
}

interface WaitingParts extends Pick<RunInfo, 'runDir' | 'sweepDir' | 'state' | 'reason'> {
  readonly submission: Submission;
  readonly cluster: ClusterPlace;
}

function infoOf({ submission: { submittedAt }, ...parts }: WaitingParts): RunInfo {
  const ageSeconds = Math.max(0, (Date.now() - Date.parse(submittedAt)) / 1000);
  const none = { step: 0, totalSteps: 0, resumable: false };
  return { ...parts, ...none, name: folderName(parts.runDir), startedAt: submittedAt, updatedAt: submittedAt, ageSeconds };
}
