/** Formats the stages of a job as text, the same in the status bar, the views and the pages. Pure. */
import { byteSize, grouped } from '../text/format.ts';
import type { WorkerEvent } from './job-messages.ts';

type Progress = Omit<Extract<WorkerEvent, { readonly type: 'progress' }>, 'type'>;

export interface StageOfJob {
  readonly phase?: string;
  readonly progress?: Progress;
}

const STAGES: Readonly<Record<string, string>> = {
  load: 'loading the model',
  download: 'downloading the model',
  'download-data': 'downloading the data',
  data: 'reading the data',
  scan: 'finding and checking samples',
  tokenize: 'tokenizing the data',
  draw: 'drawing samples',
  compare: 'comparing the samples',
  teacher: 'running the teacher',
  importance: 'scoring rows',
  compile: 'compiling',
  rehearse: 'rehearsing evaluation and save',
  train: 'training',
  evaluate: 'evaluating',
  export: 'exporting',
};

export const stageText = (name: string): string => STAGES[name] ?? name.replace(/[-_]/g, ' ');

/** The stages before the first update, in order. Only methods that select rows score them. */
export const PREPARING = ['load', 'data', 'importance', 'compile', 'rehearse'] as const;

/**
 * The current progress; undefined if the progress is that of another stage and complete, for example of an evaluation between two updates.
 */
export function currentProgress({ phase, progress }: StageOfJob): Progress | undefined {
  const isOver = progress !== undefined && progress.phase !== phase && progress.total > 0 && progress.done >= progress.total;
  return isOver && phase !== undefined ? undefined : progress;
}

/** "5 of 8 batches", "12.3 MB of 80 MB". */
export function amountText({ done, total, unit }: Pick<Progress, 'done' | 'total' | 'unit'>): string {
  const write = unit === 'bytes' ? byteSize : grouped;
  const amount = total > 0 ? `${write(done)} of ${write(total)}` : write(done);
  return unit === 'bytes' ? amount : `${amount} ${unit}`;
}

/** "1,200 samples per second", "3.1 MB per second"; undefined if there is no rate yet. */
export function rateText({ ratePerSecond: rate, unit }: Pick<Progress, 'ratePerSecond' | 'unit'>): string | undefined {
  if (rate === undefined) return undefined;
  if (unit === 'bytes') return `${byteSize(rate)} per second`;
  return `${rate < 10 ? rate.toFixed(1) : grouped(Math.round(rate))} ${unit} per second`;
}
