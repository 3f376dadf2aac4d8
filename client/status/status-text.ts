/** Texts about jobs and runs for the status bar, its tooltip and the views. Pure. */

import { takesDevice } from '../../trainer/protocol/messages/job-messages.ts';
import { amountText, currentProgress, stageText } from '../../trainer/protocol/messages/job-stage.ts';
import type { JobRecord } from '../../trainer/protocol/messages/rpc-messages.ts';
import { compact, duration, percent } from '../../trainer/protocol/text/format.ts';
import { COMMANDS } from '../commands/command-ids.ts';
import { isTraining } from '../daemon/job-store.ts';
import type { LinkState } from '../daemon/link-state.ts';

const KINDS: Readonly<Record<JobRecord['kind'], string>> = {
  train: 'Training',
  sweep: 'Sweep',
  'find-rate': 'Learning rate search',
  resume: 'Training',
  importance: 'Importance',
  evaluate: 'Evaluation',
  generate: 'Answer',
  export: 'Export',
  chat: 'Chat',
  serve: 'Server',
  data: 'Data preview',
  verify: 'Verification',
  card: 'Memory on a card',
  doctor: 'Doctor',
};

export const kindText = ({ kind }: Pick<JobRecord, 'kind'>): string => KINDS[kind];

/** "training, step 12 of 60 (20%), 3 min 5 s left", or what the job waits for. */
export function progressText({ state, phase, progress }: Pick<JobRecord, 'state' | 'phase' | 'progress'>): string {
  if (state === 'queued') return 'waiting for another job';
  if (state === 'stopping') return 'ending';
  const counted = currentProgress({ phase, progress });
  if (counted === undefined) return phase === undefined ? 'starting' : stageText(phase);
  const { done, total, unit, secondsLeft } = counted;
  const share = total > 0 && unit !== 'bytes' ? ` (${Math.floor((100 * done) / total)}%)` : '';
  const left = secondsLeft === undefined || secondsLeft < 1 ? '' : `, ${duration(secondsLeft)} left`;
  return `${stageText(counted.phase)}, ${amountText(counted)}${share}${left}`;
}

/** "waiting for the training of spam to finish", for a queued job. */
export function waitingText(jobs: readonly JobRecord[]): string {
  const running = jobs.filter(({ state, kind }) => (state === 'running' || state === 'stopping') && takesDevice(kind));
  // Short jobs run next to trainings, one at a time, and have no share of the device.
  const ahead = running.find(({ kind, share }) => !isTraining({ kind }) && share === undefined) ?? running[0];
  if (ahead === undefined) return 'waiting for another job';
  const how = isTraining(ahead) ? '; use Stop and Save to end it sooner' : '';
  return `waiting for the ${kindText(ahead).toLowerCase()} of ${ahead.title} to finish${how}`;
}

/** "55% · 20 s left" for narrow places; the stage if the percentage is unknown. */
export function shortProgressText(job: Pick<JobRecord, 'state' | 'phase' | 'progress'>): string {
  const counted = currentProgress(job);
  if (job.state !== 'running' || counted === undefined || counted.total <= 0) return progressText(job);
  const { phase, done, total, secondsLeft } = counted;
  const left = secondsLeft === undefined || secondsLeft < 1 ? '' : ` · ${duration(secondsLeft)} left`;
  return `${phase === 'train' ? '' : `${stageText(phase)} `}${Math.floor((100 * done) / total)}%${left}`;
}

/** The metrics shown for a running run, most informative first. */
const METRICS: readonly { readonly name: string; readonly show: (value: number) => string }[] = [
  { name: 'eval_accuracy', show: value => `accuracy ${percent(value)}` },
  { name: 'eval_loss', show: value => `held-out loss ${compact(value)}` },
  { name: 'loss', show: value => `loss ${compact(value)}` },
];

/** "accuracy 97.5%", from the newest evaluation; otherwise the loss. */
export function metricText(values: Readonly<Record<string, number>> | undefined): string | undefined {
  for (const { name, show } of METRICS) {
    const value = values?.[name];
    if (value !== undefined) return show(value);
  }
  return undefined;
}

/** "4 min ago", "2 days ago". */
export function ageText(seconds: number): string {
  if (seconds < 60) return 'just now';
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} days ago`;
}

export interface StatusBarText {
  readonly text: string;
  /** Markdown with links to commands. */
  readonly tooltip: string;
  readonly kind: 'normal' | 'warning' | 'error';
}

/** The job that the status bar shows: a training, or else another running job, or else a waiting one. */
export function foremost(jobs: readonly JobRecord[]): JobRecord | undefined {
  const rank = ({ kind, state }: JobRecord): number => (state === 'queued' ? 2 : 0) + (kind === 'train' || kind === 'resume' ? 0 : 1);
  return [...jobs].sort((a, b) => rank(a) - rank(b))[0];
}

export function statusBarText(link: LinkState, active: readonly JobRecord[]): StatusBarText {
  const job = foremost(active);
  const tooltip = tooltipText(link, active);
  if (job === undefined) {
    const failed = link.kind === 'failed';
    return {
      text: `$(${failed ? 'warning' : link.kind === 'starting' || link.kind === 'reconnecting' ? 'sync~spin' : 'list-tree'}) Rowtune`,
      tooltip,
      kind: failed ? 'error' : 'normal',
    };
  }
  const others = active.length > 1 ? ` (+${active.length - 1})` : '';
  return { text: `$(sync~spin) ${job.title}: ${shortProgressText(job)}${others}`, tooltip, kind: 'normal' };
}

/** Lists the jobs with their actions, then the daemon. */
function tooltipText(link: LinkState, active: readonly JobRecord[]): string {
  const lines = active.map(job => {
    const actions = [
      ...(job.runDir === undefined ? [] : [commandLink('Open', COMMANDS.openRun, job.id)]),
      ...(isTraining(job) ? [commandLink('Stop and Save', COMMANDS.stop, job.id)] : []),
      commandLink('Abort', COMMANDS.abort, job.id),
    ];
    const metric = metricText(job.metrics?.values);
    return `**${kindText(job)}: ${escapeMarkdown(job.title)}** · ${progressText(job)}${metric === undefined ? '' : ` · ${escapeMarkdown(metric)}`}  \n${actions.join(' · ')}`;
  });
  const actions =
    link.kind === 'connected'
      ? [
          commandLink('Restart', COMMANDS.restartDaemon),
          commandLink('Stop', COMMANDS.stopDaemon),
          commandLink('Show Log', COMMANDS.showDaemonLog),
        ]
      : [commandLink('Start', COMMANDS.startDaemon), commandLink('Show Log', COMMANDS.showDaemonLog)];
  return [
    ...lines,
    `${daemonText(link)}  \n${actions.join(' · ')}`,
    [
      commandLink('Start Training', COMMANDS.startTraining),
      commandLink('New Recipe', COMMANDS.newRecipe),
      commandLink('Show Status', COMMANDS.showStatus),
    ].join(' · '),
  ].join('\n\n---\n\n');
}

export function daemonText(link: LinkState): string {
  switch (link.kind) {
    case 'off':
      return 'The trainer daemon is not running. It starts when needed.';
    case 'starting':
      return 'The trainer daemon is starting.';
    case 'connected':
      return `The trainer daemon is running${link.isRemote ? ' on another machine' : ''}: process ${link.pid}, version ${link.version}.`;
    case 'reconnecting':
      return 'The connection to the trainer daemon was lost. Reconnecting…';
    case 'failed':
      return 'The trainer daemon cannot be reached.';
  }
}

const commandLink = (label: string, command: string, ...args: readonly string[]): string =>
  `[${label}](command:${command}${args.length === 0 ? '' : `?${encodeURIComponent(JSON.stringify(args))}`})`;

export const escapeMarkdown = (text: string): string => text.replace(/[\\`*_{}[\]()#+\-.!|<>~$]/g, '\\$&');
