/** The view *Runs* as plain data: runs on disk and jobs of the daemon, one item each, in groups. */

import { labelIn, methodLabel } from '../../trainer/catalog/labels.ts';
import { choosesByScores } from '../../trainer/catalog/methods.ts';
import { canBeTried } from '../../trainer/catalog/objectives.ts';
import type { JobRecord, RunInfo } from '../../trainer/protocol/messages/rpc-messages.ts';
import { isOnCluster, placeText } from '../../trainer/protocol/run/cluster.ts';
import { shareText } from '../../trainer/protocol/run/device-share.ts';
import { isActive } from '../../trainer/protocol/run/run-activity.ts';
import { distinctNames, folderName, isNamedAfter } from '../../trainer/protocol/run/run-names.ts';
import { compact, grouped } from '../../trainer/protocol/text/format.ts';
import { asParagraph } from '../../trainer/protocol/text/paragraph.ts';
import { hasEnded, isTraining } from '../daemon/job-store.ts';
import { ageText, kindText, metricText, progressText, shortProgressText } from '../status/status-text.ts';

export type RunGroupName = 'Running' | 'Waiting' | 'Stopped' | 'Failed' | 'Finished' | 'Archived';

/** Groups in the order of the view; those with deletable runs come last. */
const GROUPS: readonly RunGroupName[] = ['Running', 'Waiting', 'Stopped', 'Failed', 'Finished', 'Archived'];

export interface RunItem {
  /** Identifies a run across redraws, so that the tree keeps its selection. */
  readonly id: string;
  readonly group: RunGroupName;
  /** The name of the run's folder, with enough of its path to distinguish it from other runs. */
  readonly label: string;
  /** The name of the recipe, if the run has a folder. */
  readonly title?: string;
  /** Text after the label: progress and metric of a running run, or metric and age of an ended one. */
  readonly description: string;
  /** Lines of plain text. */
  readonly tooltip: readonly string[];
  /** The name of a codicon. */
  readonly icon: string;
  /** The possible actions, as words that the `when` clause of a menu matches. */
  readonly flags: readonly RunFlag[];
  readonly runDir?: string;
  /** The folder of the sweep that the run belongs to. */
  readonly sweepDir?: string;
  /** True if a cluster trains the run, or will. */
  readonly isOnCluster?: boolean;
  readonly jobId?: string;
  /** Notes of the user about the run. */
  readonly notes?: Pick<RunInfo, 'tags' | 'note' | 'pinned' | 'archived'>;
  /** Start time in ISO 8601. */
  readonly startedAt?: string;
  /** Number of updates that were made; undefined without a folder. */
  readonly step?: number;
}

/** The runs that have files, those with curves before those that ended before their first update, otherwise in the order of the view. */
export function comparableRuns(items: readonly RunItem[]): readonly RunItem[] {
  const all = items.filter(({ flags }) => flags.includes('folder'));
  const hasCurves = ({ step = 0 }: RunItem): boolean => step > 0;
  return [...all.filter(hasCurves), ...all.filter(item => !hasCurves(item))];
}

/** Separates the runs of other folders, which only jobs of the daemon can be; their windows list them, too. */
export function runsByPlace(
  items: readonly RunItem[],
  folders: readonly string[],
): { readonly here: readonly RunItem[]; readonly elsewhere: readonly RunItem[] } {
  const starts = folders.map(folder => folder.replace(/[\\/]+$/, ''));
  const isIn = (runDir: string): boolean => starts.some(start => runDir.startsWith(start) && /^[\\/]/.test(runDir.slice(start.length)));
  // A run on the list of these folders has steps; its output may be anywhere.
  const isHere = ({ step, runDir }: RunItem): boolean => step !== undefined || runDir === undefined || isIn(runDir);
  return { here: items.filter(isHere), elsewhere: items.filter(item => !isHere(item)) };
}

/**
 * `run`: it has a page. `folder`: it has files. `scores`: it has scores or is computing them. `answers`: its model can be tried. `job`: it
 * is not a training. `sweep`: it is the group of a sweep. `cluster`: it is on a cluster, where it can be stopped.
 */
export type RunFlag =
  | 'run'
  | 'job'
  | 'folder'
  | 'scores'
  | 'active'
  | 'stoppable'
  | 'cluster'
  | 'resumable'
  | 'deletable'
  | 'adapter'
  | 'answers'
  | 'sweep';

export interface RunGroup {
  /** The state of the group's runs, or the name of their sweep. */
  readonly name: string;
  readonly sweepDir?: string;
  /** True if the sweep is on a cluster, where it can be stopped. */
  readonly isOnCluster?: boolean;
  readonly items: readonly RunItem[];
}

/** True if the argument of a command is the group of a sweep. */
export const isRunGroup = (argument: unknown): argument is RunGroup & { readonly sweepDir: string } =>
  typeof argument === 'object' &&
  argument !== null &&
  'items' in argument &&
  'sweepDir' in argument &&
  typeof argument.sweepDir === 'string';

export interface RunTreeParams {
  readonly runs: readonly RunInfo[];
  readonly jobs: readonly JobRecord[];
  readonly nowMs: number;
}

/** A start that failed before it had a folder is shown for one day. */
const SHOWN_WITHOUT_FOLDER_MS = 86_400_000;

/** Returns the groups that have items. A run and its newest job share an item; other jobs are shown while they run. */
export function runTree({ runs, jobs, nowMs }: RunTreeParams): readonly RunGroup[] {
  const newest = new Map<string, JobRecord>();
  for (const job of jobs) if (isTraining(job) && job.runDir !== undefined) newest.set(job.runDir, job);
  const known = new Set(runs.map(({ runDir }) => runDir));
  const names = distinctNames([...known, ...newest.keys()]);
  const items = [
    ...jobs.filter(job => !isTraining(job) && !hasEnded(job)).map(jobItem),
    ...[...newest.values()]
      .filter(job => !known.has(job.runDir ?? '') && isShownWithoutFolder(job, nowMs))
      .map(job => runItem({ job, nowMs, names })),
    ...[...runs]
      .sort((a, b) => Number(b.pinned === true) - Number(a.pinned === true) || b.startedAt.localeCompare(a.startedAt))
      .map(run => runItem({ run, job: newest.get(run.runDir), nowMs, names })),
  ];
  const single = GROUPS.map(
    (name): RunGroup => ({ name, items: items.filter(item => item.group === name && item.sweepDir === undefined) }),
  );
  const isBusy = ({ name }: RunGroup): boolean => name === 'Running' || name === 'Waiting';
  return [...single.filter(isBusy), ...sweepGroups(items), ...single.filter(group => !isBusy(group))].filter(
    group => group.items.length > 0,
  );
}

/** Returns one group per sweep, newest run first; the runs of a group are sorted by name. */
function sweepGroups(items: readonly RunItem[]): readonly RunGroup[] {
  const dirs = [...new Set(items.flatMap(({ sweepDir }) => sweepDir ?? []))];
  const names = distinctNames(dirs);
  return dirs.map(sweepDir => ({
    name: `Sweep ${names.get(sweepDir) ?? folderName(sweepDir)}`,
    sweepDir,
    isOnCluster: items.some(item => item.sweepDir === sweepDir && item.isOnCluster),
    items: items
      .filter(item => item.sweepDir === sweepDir)
      .map(item => ({ ...item, label: folderName(item.runDir ?? '') }))
      .sort((a, b) => a.label.localeCompare(b.label)),
  }));
}

/** Returns the newest run of any group, or of the named recipe. */
export function newestRun(items: readonly RunItem[], name?: string): RunItem | undefined {
  const ofName = items.filter(
    ({ runDir, title }) => runDir !== undefined && (name === undefined || title === name || isNamedAfter(folderName(runDir), name)),
  );
  const begun = ({ startedAt = '' }: RunItem): string => startedAt;
  return ofName.reduce<RunItem | undefined>((best, item) => (best === undefined || begun(item) > begun(best) ? item : best), undefined);
}

const isShownWithoutFolder = (job: JobRecord, nowMs: number): boolean =>
  !hasEnded(job) || (job.state === 'failed' && nowMs - Date.parse(job.endedAt ?? job.createdAt) < SHOWN_WITHOUT_FOLDER_MS);

function jobItem(job: JobRecord): RunItem {
  const isQueued = job.state === 'queued';
  return {
    id: job.id,
    group: isQueued ? 'Waiting' : 'Running',
    label: `${kindText(job)}: ${job.title}`,
    description: shortProgressText(job),
    tooltip: [`${kindText(job)} of ${job.title}`, progressText(job), ...shareLines(job)],
    icon: isQueued ? 'clock' : 'sync~spin',
    flags: job.kind === 'sweep' ? ['job', 'active', 'stoppable'] : ['job', 'active'],
    jobId: job.id,
  };
}

const ICONS: Readonly<Record<RunGroupName, string>> = {
  Running: 'sync~spin',
  Waiting: 'clock',
  Stopped: 'debug-pause',
  Failed: 'error',
  Finished: 'pass',
  Archived: 'archive',
};

interface RunItemParams {
  readonly run?: RunInfo;
  readonly job?: JobRecord;
  readonly nowMs: number;
  /** Labels of runs, by folder. */
  readonly names: ReadonlyMap<string, string>;
}

function runItem({ run, job, nowMs, names }: RunItemParams): RunItem {
  const isActive = job !== undefined && !hasEnded(job);
  const group = isActive ? (job.state === 'queued' ? 'Waiting' : 'Running') : run?.archived === true ? 'Archived' : groupOf(run, job);
  const isBusy = group === 'Running' || group === 'Waiting';
  // The runs of a sweep share a job array, which can't be stopped for a single run.
  const isOwn = !isActive && isOnCluster(run?.cluster) && run?.sweepDir === undefined;
  const hasSaved = run !== undefined && (run.resumable ?? run.step > 0);
  // A run started from the command line has no job of the daemon.
  const canResume = !isBusy && (job?.resume !== undefined || (hasSaved && run.state !== 'finished'));
  const runDir = run?.runDir ?? job?.runDir;
  const label = names.get(runDir ?? '') ?? job?.title ?? '';
  const title = run?.name;
  const other = title === undefined || isNamedAfter(folderName(label), title) ? undefined : title;
  return {
    id: runDir ?? label,
    group,
    label,
    title,
    description: join(
      run?.pinned === true ? 'pinned' : undefined,
      other,
      tagsText(run),
      isOnCluster(run?.cluster) ? run?.cluster?.text : undefined,
      isActive ? activeText(job, run) : restText(run, job, nowMs),
    ),
    tooltip: tooltipLines(label, run, job, runDir),
    icon: ICONS[group],
    flags: [
      'run',
      ...(hasFolder(run) ? (['folder'] as const) : []),
      ...(run !== undefined && hasFolder(run) && choosesByScores(run.method) && (isBusy || run.step > 0) ? (['scores'] as const) : []),
      ...(isActive || isOwn ? (['active', 'stoppable'] as const) : []),
      ...(isOwn ? (['cluster'] as const) : []),
      ...(canResume ? (['resumable'] as const) : []),
      ...(hasFolder(run) && !isBusy ? (['deletable'] as const) : []),
      ...(hasSaved && !isBusy ? (['adapter'] as const) : []),
      ...(hasSaved && !isBusy && canBeTried(run.task) ? (['answers'] as const) : []),
    ],
    runDir,
    sweepDir: run?.sweepDir,
    isOnCluster: isOnCluster(run?.cluster),
    ...(run !== undefined && { notes: { tags: run.tags, note: run.note, pinned: run.pinned, archived: run.archived } }),
    jobId: isActive ? job.id : undefined,
    startedAt: run?.startedAt ?? job?.createdAt,
    ...(run !== undefined && { step: run.step }),
  };
}

const JOB_GROUPS: Readonly<Record<JobRecord['state'], RunGroupName>> = {
  queued: 'Waiting',
  running: 'Running',
  stopping: 'Running',
  succeeded: 'Finished',
  stopped: 'Stopped',
  aborted: 'Stopped',
  failed: 'Failed',
};

/** True if the run has a folder; a run that waits on a cluster has none yet. */
const hasFolder = (run: RunInfo | undefined): boolean => run !== undefined && run.state !== 'queued';

/** The group of a run that the daemon is not training. */
function groupOf(run: RunInfo | undefined, job: JobRecord | undefined): RunGroupName {
  if (run?.cluster?.phase === 'waiting') return 'Waiting';
  if (run?.cluster?.phase === 'running') return 'Running';
  // The job ended after the run was read.
  if (run !== undefined && isActive(run.state) && job?.endedAt !== undefined && run.updatedAt <= job.endedAt) return JOB_GROUPS[job.state];
  switch (run?.state) {
    case 'queued':
      return 'Waiting';
    case 'preparing':
    case 'running':
      return 'Running';
    case 'finished':
      return 'Finished';
    case 'stopped':
    case 'interrupted':
      return 'Stopped';
    case 'failed':
      return 'Failed';
    case undefined:
      return job?.state === 'failed' ? 'Failed' : 'Stopped';
  }
}

const tagsText = (run: RunInfo | undefined): string | undefined => run?.tags?.map(tag => `#${tag}`).join(' ');

/** A resuming job has no metrics yet, so the run's are shown. */
const activeText = (job: JobRecord, run: RunInfo | undefined): string =>
  join(shortProgressText(job), metricText({ ...run?.metrics, ...job.metrics?.values }));

function restText(run: RunInfo | undefined, job: JobRecord | undefined, nowMs: number): string {
  if (run === undefined) return job?.failure?.message ?? '';
  const steps = run.totalSteps > 0 && run.state !== 'finished' ? `step ${grouped(run.step)} of ${grouped(run.totalSteps)}` : undefined;
  // The folder describes the checkpoint that was handed over, which may be the best one; the job has its last metrics. Older runs stored
  // only the loss.
  const metric = metricText(run.metrics ?? job?.metrics?.values) ?? metricText(run.loss === undefined ? {} : { loss: run.loss });
  return join(steps, metric, ageText((nowMs - Date.parse(run.updatedAt)) / 1000));
}

function tooltipLines(label: string, run: RunInfo | undefined, job: JobRecord | undefined, runDir: string | undefined): readonly string[] {
  const reason = run?.reason ?? job?.failure?.message;
  const state = job !== undefined && !hasEnded(job) ? progressText(job) : (run?.state ?? job?.state);
  return [
    label,
    ...(run === undefined || run.name === label ? [] : [`recipe ${run.name}`]),
    ...(run?.note === undefined ? [] : [run.note]),
    tagsText(run) ?? '',
    join(run?.method && methodLabel(run.method, run.trains), run?.task && labelIn('objective', run.task)),
    [state, reason === undefined ? undefined : asParagraph(reason)].filter(text => text !== undefined).join(': '),
    ...(run === undefined
      ? []
      : [`step ${grouped(run.step)} of ${grouped(run.totalSteps)}${run.epoch === undefined ? '' : `, epoch ${compact(run.epoch)}`}`]),
    ...(run?.cluster === undefined ? [] : [placeText(run.cluster), run.cluster.log === undefined ? '' : `log ${run.cluster.log}`]),
    ...(job === undefined ? [] : shareLines(job)),
    ...(run === undefined ? [] : [`started ${new Date(run.startedAt).toLocaleString()}`]),
    ...(job?.failure?.hint === undefined ? [] : [job.failure.hint]),
    ...(runDir === undefined ? [] : [runDir]),
  ].filter(line => line !== '');
}

/** Describes the part of the machine that a job uses. */
const shareLines = (job: JobRecord): readonly string[] => (job.share === undefined || hasEnded(job) ? [] : [shareText(job.share)]);

const join = (...parts: readonly (string | undefined)[]): string => parts.filter(part => part !== undefined && part !== '').join(' · ');
