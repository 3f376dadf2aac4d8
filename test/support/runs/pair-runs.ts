/** Runs of the tiny task on pairs of answers. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { JobContext } from '../../../trainer/protocol/messages/job-messages.ts';
import type { Recipe } from '../../../trainer/protocol/recipe/recipe-schema.ts';
import { type TrainRun, trainRunsIn } from './run-in-process.ts';
import type { TinyTask } from './tiny-task.ts';

export interface PairRuns {
  readonly recipe: (...overrides: string[]) => Recipe;
  readonly train: TrainRun;
}

/** Writes pairs.jsonl and held.jsonl. The better answer is the short one. @param more further keys of a sample */
export function pairRuns(task: TinyTask, objective: string, context: JobContext, more: (n: number) => object = () => ({})): PairRuns {
  const pair = (n: number): string =>
    `${JSON.stringify({ prompt: `Q${n}: `, chosen: `ok ${n % 7}`, rejected: `no${'!'.repeat(3 + (n % 9))}`, ...more(n) })}\n`;
  const write = (name: string, from: number, to: number): void =>
    writeFileSync(join(task.folder, name), Array.from({ length: to - from }, (_, i) => pair(from + i)).join(''));
  write('pairs.jsonl', 0, 24);
  write('held.jsonl', 24, 32);
  const recipe = (...overrides: string[]): Recipe =>
    task.recipe('engine=portable', `task=${objective}`, 'data.train=pairs.jsonl', 'data.eval=held.jsonl', 'max_length=32', ...overrides);
  return { recipe, train: trainRunsIn(task.folder, context, recipe) };
}
