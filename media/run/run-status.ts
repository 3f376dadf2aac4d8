/** The status of a run in words and numbers, for the header and for screen readers. Pure. */

import { amountText, currentProgress, stageText } from '../../trainer/protocol/messages/job-stage.ts';
import { placeText } from '../../trainer/protocol/run/cluster.ts';
import { shareText } from '../../trainer/protocol/run/device-share.ts';
import { compact, duration, grouped } from '../../trainer/protocol/text/format.ts';
import { asParagraph } from '../../trainer/protocol/text/paragraph.ts';
import type { RunModel } from '../shared/run-model.ts';

export interface RunStatus {
  /** The state in one word. */
  readonly state: string;
  readonly kind: 'active' | 'good' | 'waiting' | 'bad';
  /** The reason why the run stopped or failed. */
  readonly reason?: string;
  readonly done: number;
  /** 0 while unknown. */
  readonly total: number;
  /** "120 of 500 steps", "epoch 1.2", "2 min left" … */
  readonly facts: readonly string[];
}

/** Number of metrics lines over which the current pace is measured. */
const RECENT = 20;

const STATES: Readonly<Record<string, readonly [string, RunStatus['kind']]>> = {
  queued: ['queued', 'waiting'],
  preparing: ['preparing', 'active'],
  running: ['training', 'active'],
  stopped: ['stopped', 'waiting'],
  finished: ['finished', 'good'],
  failed: ['failed', 'bad'],
  interrupted: ['interrupted', 'bad'],
};

export function statusOf(model: RunModel): RunStatus {
  const { overview, missing } = model;
  if (!overview) return missingStatus(missing?.job);
  const { job } = overview;
  const [state, kind] = STATES[overview.state] ?? [overview.state, 'waiting'];
  if (model.isActive && job?.state === 'stopping') return { ...training(model), state: 'stopping', kind: 'active' };
  if (overview.state === 'preparing') return preparing(model);
  if (overview.state === 'running') return training(model);
  if (overview.state === 'queued') return { state, kind, done: 0, total: 0, facts: [] };
  const unexplained = overview.state === 'interrupted' ? 'The training process ended unexpectedly.' : undefined;
  const reason = overview.reason === undefined ? unexplained : asParagraph(overview.reason);
  return { state, kind, reason, done: overview.step, total: overview.totalSteps, facts: [steps(model), ...epoch(model)] };
}

/** The place of the run: "Slurm job 12: pending (Resources), behind 3 jobs", or its part of this machine: "2 processes on 2 of 8 cores". */
export function whereText({ overview, isActive }: RunModel): string | undefined {
  if (overview?.cluster) return placeText(overview.cluster);
  const share = isActive ? overview?.job?.share : undefined;
  return share && shareText(share);
}

function missingStatus(job: NonNullable<RunModel['missing']>['job']): RunStatus {
  const none = { done: 0, total: 0, facts: [] };
  if (job?.state === 'queued') return { state: 'queued', kind: 'waiting', reason: 'Waiting for another job.', ...none };
  if (job?.state === 'running') return { state: 'starting', kind: 'active', ...none };
  if (job?.failure) return { state: 'failed', kind: 'bad', reason: asParagraph(job.failure.message), ...none };
  return { state: 'no run here', kind: 'waiting', reason: 'The folder contains no run. It may have been deleted.', ...none };
}

function preparing({ overview }: RunModel): RunStatus {
  const { job } = overview ?? {};
  const counted = job && currentProgress(job);
  const stage = counted?.phase ?? job?.phase;
  const facts = [...(stage === undefined ? [] : [stageText(stage)]), ...(counted ? [amountText(counted)] : [])];
  return { state: 'preparing', kind: 'active', done: counted?.done ?? 0, total: counted?.total ?? 0, facts };
}

function training(model: RunModel): RunStatus {
  const { overview } = model;
  const { done, total } = stepsOf(model);
  const counted = overview?.job && currentProgress(overview.job);
  // During an evaluation or a save, the bar keeps its position and the facts name the activity.
  const aside = counted && counted.phase !== 'train' ? [`${stageText(counted.phase)} ${amountText(counted)}`] : [];
  const secondsPerStep = paceOf(model);
  const pace =
    secondsPerStep === undefined
      ? []
      : [secondsPerStep > 1 ? `${duration(secondsPerStep)} per step` : `${compact(1 / secondsPerStep)} steps per second`];
  const secondsLeft = model.secondsLeft ?? (secondsPerStep === undefined ? undefined : (total - done) * secondsPerStep);
  const left = secondsLeft === undefined || done >= total ? [] : [`${duration(secondsLeft)} left`];
  return { state: 'training', kind: 'active', done, total, facts: [steps(model), ...epoch(model), ...aside, ...pace, ...left] };
}

/** Seconds per update: the median of the newest lines, or the job's own report before the first line. */
function paceOf({ history, overview }: RunModel): number | undefined {
  const recent = [...history.points('seconds').y.slice(-RECENT)].sort((a, b) => a - b);
  const progress = overview?.job?.progress;
  const reported = progress?.phase === 'train' && progress.ratePerSecond ? 1 / progress.ratePerSecond : undefined;
  return recent[Math.floor(recent.length / 2)] ?? reported;
}

/** The current step; state.json may be a second behind the metrics. */
function stepsOf({ overview, history }: RunModel): { readonly done: number; readonly total: number } {
  return { done: Math.max(overview?.step ?? 0, history.last('step') ?? 0), total: overview?.totalSteps ?? 0 };
}

function steps(model: RunModel): string {
  const { done, total } = stepsOf(model);
  return total > 0 ? `${grouped(done)} of ${grouped(total)} steps` : `${grouped(done)} steps`;
}

function epoch({ history, overview }: RunModel): string[] {
  const value = history.last('epoch') ?? overview?.epoch;
  return value === undefined ? [] : [`epoch ${compact(Math.round(value * 100) / 100)}`];
}

/** The status as a sentence for screen readers. */
export function sentenceOf(model: RunModel): string {
  const { state, reason, facts } = statusOf(model);
  const loss = model.history.last('loss');
  return [`${model.name} ${state}`, reason, whereText(model), ...facts, loss === undefined ? undefined : `loss ${compact(loss)}`]
    .filter(Boolean)
    .join(', ');
}
