/** Compares the rows of the study: the runs of each arm, and paired comparisons of two arms, within a task and over tasks. Pure. */
import { type ArmName, searchingArms } from './arms.ts';
import { planOfRow, SEEDS, type TaskPlan } from './plan.ts';
import type { StudyRow } from './rows.ts';
import { holm, mean, type Paired, pairedTest } from './statistics.ts';

/** The rows of one task on one base that belong to the current plan. */
export interface TaskRows {
  readonly task: TaskPlan;
  readonly base: string;
  readonly rows: readonly StudyRow[];
}

/** Groups rows by task in the order of the plan. A task that ran on two bases (vision models trained on two machines) appears twice. */
export const rowsByTask = (tasks: readonly TaskPlan[], rows: readonly StudyRow[]): TaskRows[] =>
  tasks.flatMap(task => {
    const own = rows.filter(row => row.task === task.name && row.plan === planOfRow(task, row.arm));
    return [...new Set(own.map(({ base }) => base))].map(base => ({ task, base, rows: own.filter(row => row.base === base) }));
  });

/** The runs of an arm on the test data, by seed. */
export const testsOf = ({ rows }: TaskRows, arm: ArmName): StudyRow[] =>
  rows.filter(row => row.purpose === 'test' && row.arm === arm).sort((a, b) => a.seed - b.seed);

export const isComplete = (found: TaskRows, arm: ArmName): boolean => testsOf(found, arm).length === SEEDS.length;

export interface Difference {
  readonly arm: ArmName;
  /** Differences of ln(held-out loss) by seed: below 0 the arm is better; −0.1 means a loss 10% lower. */
  readonly loss: Paired;
  /** Holm's adjusted p value of the loss over the comparisons in the table. */
  readonly adjusted: number;
  /** Differences in percentage points, if the task has an accuracy. */
  readonly accuracy: Paired | undefined;
}

/** Compares every arm with another one, seed by seed. Arms with a missing or diverged seed are omitted. */
export function compareWith(found: TaskRows, other: ArmName): Difference[] {
  const reference = new Map(testsOf(found, other).map(row => [row.seed, row]));
  const tested = searchingArms.flatMap(arm => {
    const pairs = testsOf(found, arm).flatMap(row => {
      const [a, b] = [row.result, reference.get(row.seed)?.result];
      return a && b ? [{ a, b }] : [];
    });
    if (arm === other || pairs.length < SEEDS.length) return [];
    const loss = pairedTest(pairs.map(({ a, b }) => Math.log(a.loss / b.loss)));
    const points = pairs.flatMap(({ a, b }) =>
      a.accuracy === undefined || b.accuracy === undefined ? [] : [100 * (a.accuracy - b.accuracy)],
    );
    return loss ? [{ arm, loss, accuracy: pairedTest(points) }] : [];
  });
  const adjusted = holm(tested.map(({ loss }) => loss.p));
  return tested.map((difference, i) => ({ ...difference, adjusted: adjusted[i] ?? 1 }));
}

export interface OverTasks {
  readonly arm: ArmName;
  /** Number of tasks in which both arms are complete. */
  readonly tasks: number;
  /** Number of tasks with a lower mean loss. */
  readonly better: number;
  /** Mean over tasks of the mean difference of ln(loss). */
  readonly mean: number;
  /** The paired test over the means of tasks, which are the sampled unit; undefined for a single task. */
  readonly paired: Paired | undefined;
  readonly adjusted: number;
}

/** Compares every arm with another one over all tasks that have both. */
export function compareOverTasks(all: readonly TaskRows[], other: ArmName): OverTasks[] {
  const byTask = all.map(found => compareWith(found, other));
  const compared = searchingArms.flatMap(arm => {
    const means = byTask.flatMap(differences => differences.filter(one => one.arm === arm).map(({ loss }) => loss.mean));
    if (means.length === 0) return [];
    return [{ arm, tasks: means.length, better: means.filter(value => value < 0).length, mean: mean(means), paired: pairedTest(means) }];
  });
  const adjusted = holm(compared.map(({ paired }) => paired?.p ?? 1));
  return compared.map((one, i) => ({ ...one, adjusted: adjusted[i] ?? 1 }));
}
