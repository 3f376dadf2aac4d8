/** The stages of a run before its first update: done, current and pending. Pure. */
import { choosesByScores } from '../../trainer/catalog/methods.ts';
import { amountText, currentProgress, PREPARING, stageText } from '../../trainer/protocol/messages/job-stage.ts';
import { counted, duration, grouped } from '../../trainer/protocol/text/format.ts';
import type { RunModel } from '../shared/run-model.ts';

export interface Stage {
  /** The name of the stage: "loading the model". */
  readonly text: string;
  readonly state: 'done' | 'now' | 'next';
  /** "5 of 8 batches, 20 s left"; empty if the stage has no counts. */
  readonly detail: string;
  /** Progress of the current stage, if it has counts. */
  readonly share?: number;
}

/** Returns an empty list if no daemon knows the current stage, as for a run started in a terminal. */
export function stagesOf({ overview, missing, recipe }: Pick<RunModel, 'overview' | 'missing' | 'recipe'>): Stage[] {
  const job = overview?.job ?? missing?.job;
  const isBefore = overview ? overview.state === 'preparing' : job?.state === 'queued' || job?.state === 'running';
  if (!job || !isBefore) return [];
  const method = recipe?.entries.find(({ key }) => key === 'method')?.value;
  const before = overview?.step ?? 0;
  const isAhead: Readonly<Record<string, boolean>> = {
    // The method is known once the recipe is, which a run writes first. A resumed run keeps its rows.
    importance: before === 0 && method !== undefined && choosesByScores(method),
    rehearse: before === 0,
  };
  const names = PREPARING.filter(name => isAhead[name] !== false || name === job.phase);
  // A nested stage counts as the stage that contains it: a download belongs to loading.
  const at = names.findIndex(name => name === (job.phase === 'download' ? 'load' : job.phase));
  const progress = currentProgress(job);
  const all = overview?.totalSteps ?? 0;
  const steps = all > 0 ? `${grouped(before)} of ${counted(all, 'step')}` : counted(before, 'step');
  const resumed: Stage[] = before > 0 ? [{ text: `previously trained: ${steps}`, state: 'done', detail: '' }] : [];
  const stages = names.map((name, i): Stage => {
    if (i !== at) return { text: stageText(name), state: i < at ? 'done' : 'next', detail: '' };
    if (!progress) return { text: stageText(name), state: 'now', detail: '' };
    const { secondsLeft, total, done } = progress;
    const what = progress.phase === name ? '' : `${stageText(progress.phase)}, `;
    const left = secondsLeft === undefined || secondsLeft < 1 ? '' : `, ${duration(secondsLeft)} left`;
    return {
      text: stageText(name),
      state: 'now',
      detail: `${what}${amountText(progress)}${left}`,
      share: total > 0 ? Math.min(1, done / total) : undefined,
    };
  });
  return [...resumed, ...stages];
}
