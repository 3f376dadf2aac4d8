/**
 * The study: every arm of every part searches its learning rate on the validation data, then runs all seeds on the test data. Runs that are
 * already in the file of rows are skipped, so an interrupted study continues.
 */
import { type ArmName, arms } from './arms.ts';
import type { TaskData } from './data.ts';
import type { WorkAnswer, WorkRequest } from './messages.ts';
import { fixedRateOf, type Part, type PlannedRun, planOf, SEEDS, type TaskPlan, TUNING_SEED } from './plan.ts';
import { TimeIsUp } from './pool.ts';
import { bestOf, nextRates, type RateResult } from './rates.ts';
import { isSameRun, type RunKey, type StudyRow } from './rows.ts';

/** Estimated seconds of a run before a run of its task was timed. */
const FIRST_SECONDS = 60;

export interface StudyParams {
  readonly parts: readonly Part[];
  readonly rows: readonly StudyRow[];
  readonly ask: (request: WorkRequest, place: { readonly priority: number; readonly expectedSeconds: () => number }) => Promise<WorkAnswer>;
  readonly onRow: (row: StudyRow) => Promise<void>;
}

/** Returns true if all parts are done; false if time was up. @throws Error of the first failed run */
export async function runStudy(params: StudyParams): Promise<boolean> {
  const study = new Study(params);
  const outcomes = await Promise.allSettled(params.parts.map((part, index) => study.part(part, index)));
  const failures = outcomes.flatMap(outcome => (outcome.status === 'rejected' ? [outcome.reason] : []));
  const other = failures.find(failure => !(failure instanceof TimeIsUp));
  if (other !== undefined) throw other;
  return failures.length === 0;
}

class Study {
  private readonly params: StudyParams;
  private readonly rows: StudyRow[];
  private readonly prepared = new Map<string, Promise<TaskData>>();

  constructor(params: StudyParams) {
    this.params = params;
    this.rows = [...params.rows];
  }

  /** Requests of earlier parts come first. Within a part, all arms advance together, so that pairs are complete when time is up. */
  async part({ task, arms: chosen }: Part, index: number): Promise<void> {
    const data = await this.prepare(task, index);
    const outcomes = await Promise.allSettled(
      chosen.map((arm, i) => this.arm({ task, arm }, data, stage => 1e6 * index + 1e3 * stage + i)),
    );
    const failures = outcomes.flatMap(outcome => (outcome.status === 'rejected' ? [outcome.reason] : []));
    const worst = failures.find(failure => !(failure instanceof TimeIsUp)) ?? failures[0];
    if (worst !== undefined) throw worst;
  }

  private prepare(task: TaskPlan, index: number): Promise<TaskData> {
    const found = this.prepared.get(task.name) ?? this.askForData(task, 1e6 * index);
    this.prepared.set(task.name, found);
    return found;
  }

  private async askForData(task: TaskPlan, priority: number): Promise<TaskData> {
    const answer = await this.params.ask({ kind: 'prepare', task }, { priority, expectedSeconds: () => 0 });
    if (answer.kind === 'prepare') return answer.result;
    throw unexpected(answer);
  }

  private async arm(
    { task, arm }: { readonly task: TaskPlan; readonly arm: ArmName },
    data: TaskData,
    priorityOf: (stage: number) => number,
  ): Promise<void> {
    const learningRate = fixedRateOf(task, arm) ?? (await this.searchRate({ task, arm }, data, priorityOf));
    const runs = SEEDS.map(seed => ({ task, arm, purpose: 'test' as const, learningRate, seed }));
    await Promise.all(runs.map((run, i) => this.once(run, data, priorityOf(100 + i))));
  }

  private async searchRate(
    { task, arm }: { readonly task: TaskPlan; readonly arm: ArmName },
    data: TaskData,
    priorityOf: (stage: number) => number,
  ): Promise<number> {
    const tried: RateResult[] = [];
    const start = task.rates[arms[arm].family];
    for (let rates = nextRates(start, tried); rates.length > 0; rates = nextRates(start, tried)) {
      const stage = tried.length;
      const runs = rates.map(learningRate => ({ task, arm, purpose: 'tune' as const, learningRate, seed: TUNING_SEED }));
      const found = await Promise.all(runs.map((run, i) => this.once(run, data, priorityOf(stage + i))));
      tried.push(...found.map(rateResult));
    }
    return bestOf(tried)?.learningRate ?? start;
  }

  private async once(run: PlannedRun, data: TaskData, priority: number): Promise<StudyRow> {
    const key: RunKey = { ...run, task: run.task.name, plan: planOf(run.task, run.arm), base: data.base };
    const known = this.rows.find(row => isSameRun(row, key));
    if (known) return known;
    const answer = await this.params.ask({ kind: 'run', run, data }, { priority, expectedSeconds: () => this.expectedSeconds(key) });
    if (answer.kind !== 'run') throw unexpected(answer);
    const row = answer.result;
    this.rows.push(row);
    await this.params.onRow(row);
    return row;
  }

  /** The longest of the last runs of the task; a guess if there are none. */
  private expectedSeconds({ task, plan }: RunKey): number {
    const own = this.rows.filter(row => row.task === task && row.plan === plan).slice(-10);
    return own.length === 0 ? FIRST_SECONDS : Math.max(...own.map(({ seconds }) => seconds));
  }
}

const unexpected = (answer: WorkAnswer): Error =>
  new Error(answer.kind === 'failed' ? answer.message : `a worker answered '${answer.kind}'`);

export const rateResult = ({ learningRate, result }: Pick<StudyRow, 'learningRate' | 'result'>): RateResult => ({
  learningRate,
  loss: result?.loss ?? Number.POSITIVE_INFINITY,
});
