/** The stages of a run before its first update: what is done, what goes on, what is still to come. Pure. */
import { duration } from '../../trainer/protocol/format.ts';
import { amountText, currentProgress, PREPARING, stageText } from '../../trainer/protocol/job-stage.ts';
import { scoringMethods } from '../../trainer/protocol/recipe/method-kinds.ts';
import type { RunModel } from '../shared/run-model.ts';

export interface Stage {
  /** "loading the model". */
  readonly text: string;
  readonly state: 'done' | 'now' | 'next';
  /** "5 of 8 batches, 20 s left"; empty where nothing is counted. */
  readonly detail: string;
  /** Of the stage that goes on, where it is counted. */
  readonly share?: number;
}

/** None where no daemon says what the run is at: one that was started in a terminal. */
export function stagesOf({ overview, missing, recipe }: Pick<RunModel, 'overview' | 'missing' | 'recipe'>): Stage[] {
  const job = overview?.job ?? missing?.job;
  if (!job || (overview && overview.state !== 'preparing')) return [];
  const method = recipe?.entries.find(({ key }) => key === 'method')?.value;
  const names = PREPARING.filter(name => name !== 'importance' || method === undefined || scoringMethods.has(method));
  // A stage that comes on the way belongs to that which asked for it: a download to the loading.
  const at = names.findIndex(name => name === (job.phase === 'download' ? 'load' : job.phase));
  const counted = currentProgress(job);
  return names.map((name, i): Stage => {
    if (i !== at) return { text: stageText(name), state: i < at ? 'done' : 'next', detail: '' };
    if (!counted) return { text: stageText(name), state: 'now', detail: '' };
    const { secondsLeft, total, done } = counted;
    const what = counted.phase === name ? '' : `${stageText(counted.phase)}, `;
    const left = secondsLeft === undefined || secondsLeft < 1 ? '' : `, ${duration(secondsLeft)} left`;
    return {
      text: stageText(name),
      state: 'now',
      detail: `${what}${amountText(counted)}${left}`,
      share: total > 0 ? Math.min(1, done / total) : undefined,
    };
  });
}
