/** Kills the processes of small runs at random moments, again and again; each must end like an undisturbed run, bit for bit. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { JobRequest } from '../../trainer/protocol/messages/job-messages.ts';
import { summarizeRun } from '../../trainer/run/run-folder.ts';
import { startWorker } from '../support/daemon/worker.ts';
import { makeTinyTask } from '../support/runs/tiny-task.ts';
import { leftovers, trainedState } from './fault-scenarios.ts';
import { type Case, failed, OK, type Part, randomOf, type Verdict } from './trial.ts';

const WHOLE = 300;
const SAMPLE = 4;
/** Maximum number of kills before a run may end. */
const KILLS_A_RUN = 3;
const HANG_MS = 180_000;
/** Maximum delay after an event in ms, so that a kill falls between two events. */
const MAX_DELAY_MS = 120;

/** Settings that use all state of a run: order, accumulation, clipping, evaluations, the best checkpoint. */
export const SHORT_RUN = [
  'max_steps=6',
  'save_strategy=steps',
  'save_steps=1',
  'save_total_limit=3',
  'eval_strategy=steps',
  'eval_steps=2',
  'gradient_accumulation_steps=2',
  'max_grad_norm=0.5',
];
const SETTINGS = ['engine=portable', ...SHORT_RUN, 'warmup_steps=2'];

export const kills: Part = {
  name: 'kills',
  unit: 'kills',
  async prepare({ seed, isSample }) {
    const task = makeTinyTask();
    const recipe = task.recipe(...SETTINGS);
    const train = (runDir: string): JobRequest => ({ kind: 'train', recipe, runDir, context: task.context });
    const reference = join(task.folder, 'reference');
    const whole = startWorker(train(reference));
    if ((await whole.ended).status !== 0) throw new Error('the run without kills fails');
    const expected = trainedState(reference);
    const cases: Case[] = [];
    for (let start = 0; start < (isSample ? SAMPLE : WHOLE); start += KILLS_A_RUN) {
      const runDir = join(task.folder, `run-${start}`);
      const params = { runDir, train, context: task.context, events: whole.events.length, random: randomOf(seed, start), expected };
      cases.push({ id: `kills ${start}`, count: KILLS_A_RUN, run: () => attackRun({ ...params, kills: KILLS_A_RUN, runUntil }) });
    }
    return { cases, dispose: () => rmSync(task.folder, { recursive: true, force: true }) };
  },
};

/** The moment of a kill. */
export interface KillMoment {
  /** Index of an event of the run. */
  readonly event: number;
  /** Delay after that event. */
  readonly delayMs: number;
}

interface Attack {
  readonly runDir: string;
  readonly train: (runDir: string) => JobRequest;
  readonly context: JobRequest['context'];
  /** Number of events of an undisturbed run. */
  readonly events: number;
  readonly random: () => number;
  /** The trained state of an undisturbed run. */
  readonly expected: string;
  readonly kills: number;
  /** Runs a job to its end, or until it is killed. @returns 'killed', 'finished', 'hung', or what went wrong */
  readonly runUntil: (request: JobRequest, kill?: KillMoment) => Promise<string>;
}

/** Kills one run again and again, and resumes it each time. */
export async function attackRun({ runDir, train, context, events, random, expected, kills: wanted, runUntil }: Attack): Promise<Verdict> {
  rmSync(runDir, { recursive: true, force: true });
  const said: string[] = [];
  for (let killed = 0; ; ) {
    const begun = await summarizeRun(runDir);
    const isResumed = begun !== undefined && (begun.step > 0 || begun.resumable || begun.state === 'interrupted');
    const request: JobRequest = isResumed ? { kind: 'resume', runDir, overrides: [], context } : train(runDir);
    const isLast = killed >= wanted;
    const ended = await runUntil(request, isLast ? undefined : { event: Math.floor(random() * events), delayMs: random() * MAX_DELAY_MS });
    said.push(`${request.kind}: ${ended}`);
    if (ended === 'hung') return failed('hung', said.join('; '));
    if (ended === 'killed') killed++;
    else if (ended !== 'finished') return failed('lost', said.join('; '));
    if (ended !== 'finished') continue;
    const result = trainedState(runDir);
    if (result !== expected) return failed('lost', `${said.join('; ')}: ${result} instead of ${expected}`);
    const left = leftovers(runDir);
    if (left !== undefined) return failed('lost', `${said.join('; ')}: ${left}`);
    rmSync(runDir, { recursive: true });
    // The run finished before its last kill; another run uses the remaining kills.
    if (isLast) return OK;
  }
}

function runUntil(request: JobRequest, kill?: KillMoment): Promise<string> {
  return new Promise(resolve => {
    let heard = 0;
    let isKilled = false;
    const run = startWorker(request, (_, child) => {
      if (kill === undefined || heard++ !== kill.event) return;
      setTimeout(() => {
        isKilled = child.exitCode === null;
        child.kill('SIGKILL');
      }, kill.delayMs);
    });
    const timer = setTimeout(() => {
      run.child.kill('SIGKILL');
      resolve('hung');
    }, HANG_MS);
    void run.ended.then(({ status, signal, last }) => {
      clearTimeout(timer);
      if (signal === 'SIGKILL' && isKilled) return resolve('killed');
      if (status === 0 && last?.type === 'result') return resolve('finished');
      // The run was killed just after it finished, so there is nothing left to resume.
      if (last?.type === 'failed' && last.code === 'nothing-left') return resolve('finished');
      resolve(`status ${status}, signal ${signal}: ${JSON.stringify(last)}`);
    });
  });
}
