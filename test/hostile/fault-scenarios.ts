/** Jobs whose every file operation is made to fail once, each with conditions that must hold afterwards. */
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { z } from 'zod';
import type { JobRequest } from '../../trainer/protocol/messages/job-messages.ts';
import { TEMPORARY_ENDING } from '../../trainer/protocol/temporary-ending.ts';
import { metricsLine, parseLines, readJson } from '../support/files/read-json.ts';
import { makeTinyTask, type TinyTask } from '../support/runs/tiny-task.ts';
import type { JobRunner } from './job-runner.ts';

export interface Scenario {
  readonly name: string;
  /** Prepares the folder of a case and returns the job that will fail. */
  setup(dir: string): JobRequest;
  /** Folders below `dir` in which operations are counted, in addition to those of the model and the data. */
  readonly watched?: readonly string[];
  /** Checks that everything else is unchanged after the fault. @returns what is wrong */
  afterFault?(dir: string): string | undefined;
  /** Finishes the work without faults. @returns what is wrong */
  recover(dir: string, runner: JobRunner, ended: 'done' | 'failed' | 'killed'): Promise<string | undefined>;
  /** Returns the result, which must equal that of a run without faults bit for bit. */
  result(dir: string): string;
}

/** A small training: two updates, a checkpoint after each, one module. */
const SETTINGS = [
  'engine=portable',
  'max_steps=3',
  'save_strategy=steps',
  'save_steps=1',
  'save_total_limit=2',
  'target_modules=[q_proj]',
  'per_device_train_batch_size=2',
];

export interface ScenarioSet {
  readonly task: TinyTask;
  readonly scenarios: readonly Scenario[];
}

/** @param runner trains the runs that exports start from */
export async function makeScenarios(runner: JobRunner): Promise<ScenarioSet> {
  const task = makeTinyTask();
  const { context } = task;
  const recipe = task.recipe(...SETTINGS);
  const train = (runDir: string, own = recipe): JobRequest => ({ kind: 'train', recipe: own, runDir, context });
  const resume = (runDir: string): JobRequest => ({ kind: 'resume', runDir, overrides: [], context });
  const finished = join(task.folder, 'finished');
  await must(runner, train(finished));
  // The folder of a run that was killed after its first update.
  const begun = join(task.folder, 'begun');
  await must(runner, train(begun, task.recipe(...SETTINGS, 'save_total_limit=9')));
  for (const name of ['step-000002', 'step-000003']) rmSync(join(begun, 'checkpoints', name), { recursive: true });
  rmSync(join(begun, 'summary.json'));

  const runDirOf = (dir: string): string => join(dir, 'run');
  const trainings: Scenario[] = [
    {
      name: 'train',
      setup: dir => train(runDirOf(dir)),
      recover: (dir, given, ended) => recoverTraining(given, { runDir: runDirOf(dir), resume, train, ended }),
      result: dir => trainedState(runDirOf(dir)),
    },
    {
      name: 'resume',
      setup: dir => {
        cpSync(begun, runDirOf(dir), { recursive: true });
        return resume(runDirOf(dir));
      },
      afterFault: dir => (hasCheckpoint(runDirOf(dir)) ? undefined : 'the checkpoint that the run was resumed from is gone'),
      recover: (dir, given, ended) => recoverTraining(given, { runDir: runDirOf(dir), resume, train, ended }),
      result: dir => trainedState(runDirOf(dir)),
    },
  ];
  const exports = (['adapter', 'merged', 'peft'] as const).map((format): Scenario => {
    const request = (dir: string): JobRequest => ({
      kind: 'export',
      adapter: join(dir, 'run'),
      format,
      outputDir: join(dir, 'out'),
      overwrite: true,
      context,
    });
    let complete: string | undefined;
    return {
      name: `export ${format}`,
      setup: dir => {
        cpSync(finished, join(dir, 'run'), { recursive: true });
        return request(dir);
      },
      afterFault: dir => {
        if (treeHash(join(dir, 'run')) !== treeHash(finished)) return 'the run that is exported has changed';
        const out = join(dir, 'out');
        if (!existsSync(out) || complete === undefined) return undefined;
        return treeHash(out) === complete ? undefined : 'the folder of the export is half written';
      },
      recover: async (dir, given) => (await failureOf(given, request(dir))) ?? leftovers(dir),
      result: dir => {
        complete ??= treeHash(join(dir, 'out'));
        return treeHash(join(dir, 'out'));
      },
    };
  });
  const importance = (dir: string): JobRequest => ({
    kind: 'importance',
    recipe: task.recipe(...SETTINGS, 'importance.measure=taylor', 'importance.samples=4'),
    outputFile: join(dir, 'x.scores.safetensors'),
    context,
  });
  const scores: Scenario = {
    name: 'importance',
    setup: importance,
    recover: async (dir, given) => (await failureOf(given, importance(dir))) ?? leftovers(dir),
    result: dir => fileHash(join(dir, 'x.scores.safetensors')),
  };
  return { task, scenarios: [...trainings, ...exports, scores] };
}

async function must(runner: JobRunner, request: JobRequest): Promise<void> {
  const failure = await failureOf(runner, request);
  if (failure !== undefined) throw new Error(failure);
}

/** Returns undefined if the job ends with a result. */
async function failureOf(runner: JobRunner, request: JobRequest): Promise<string | undefined> {
  const ended = await runner.run({ request });
  if (ended.kind !== 'done') return `${request.kind} without a fault: ${ended.kind === 'died' ? ended.how : 'hung'}`;
  const { last, stack } = ended.outcome;
  return last.type === 'failed' ? `${request.kind} without a fault failed: ${last.code}: ${last.message}\n${stack}` : undefined;
}

interface RecoverParams {
  readonly runDir: string;
  readonly ended: 'done' | 'failed' | 'killed';
  readonly resume: (runDir: string) => JobRequest;
  readonly train: (runDir: string) => JobRequest;
}

/** Resumes if possible, and otherwise trains again in the same folder, where nothing may be in the way. */
async function recoverTraining(runner: JobRunner, { runDir, ended, resume, train }: RecoverParams): Promise<string | undefined> {
  if (ended !== 'done') {
    let request = hasCheckpoint(runDir) ? resume(runDir) : train(runDir);
    let tried = await runner.run({ request });
    // If the run was killed in its first updates, the folder belongs to a started run; resuming starts it again.
    if (tried.kind === 'done' && tried.outcome.last.type === 'failed' && tried.outcome.last.code === 'output-not-empty') {
      request = resume(runDir);
      tried = await runner.run({ request });
    }
    const last = tried.kind === 'done' ? tried.outcome.last : undefined;
    // The fault may have come after everything was done.
    const isDone = last?.type === 'failed' && last.code === 'nothing-left';
    if (!isDone && last?.type !== 'result')
      return `${request.kind} after the fault: ${JSON.stringify(last ?? tried)} ${tried.kind === 'done' ? tried.outcome.stack : ''}`;
  }
  return leftovers(runDir);
}

const hasCheckpoint = (runDir: string): boolean =>
  existsSync(join(runDir, 'checkpoints')) && readdirSync(join(runDir, 'checkpoints')).some(name => name.startsWith('step-'));

/** Finds files that only a running process may have. */
export function leftovers(dir: string): string | undefined {
  const left = filesOf(dir).filter(file => /\.(tmp|old|gone|part|partial)(\/|$)|(^|\/)lock(\/|$)/.test(file));
  return left.length === 0 ? undefined : `left behind: ${left.join(', ')}`;
}

/** Returns the result of a training without times: trained weights, optimizer state, losses, selected rows. */
export function trainedState(runDir: string): string {
  const checkpoints = join(runDir, 'checkpoints');
  const names = readdirSync(checkpoints)
    .filter(name => name.startsWith('step-'))
    .sort();
  const newest = join(checkpoints, names.at(-1) ?? '');
  const lines = parseLines(readFileSync(join(runDir, 'metrics.jsonl'), 'utf8'), metricsLine);
  const losses = lines.map(({ step, loss, eval_loss }) => ({ step, loss, eval_loss }));
  const { state } = readJson(join(runDir, 'state.json'), z.object({ state: z.string() }));
  const summary = readJson(join(runDir, 'summary.json'), z.object({ after: z.object({ loss: z.number() }) }));
  return JSON.stringify({
    state,
    names,
    losses,
    after: summary.after.loss,
    adapter: fileHash(join(newest, 'adapter_model.safetensors')),
    optimizer: fileHash(join(newest, 'optimizer.safetensors')),
    selection: fileHash(join(runDir, 'selection.json')),
  });
}

const fileHash = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex').slice(0, 16);

function filesOf(dir: string): string[] {
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter(name => statSync(join(dir, name)).isFile())
    .sort();
}

/** Hashes the names and contents of all files below a folder. */
export const treeHash = (dir: string): string =>
  filesOf(dir)
    .map(name => `${name}:${fileHash(join(dir, name))}`)
    .join('\n');

/** Creates a folder for one case. */
export function caseFolder(task: TinyTask, name: string): string {
  const dir = join(task.folder, 'cases', name.replaceAll(' ', '-'));
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  return dir;
}

export const shortPath = (task: TinyTask, file: string): string =>
  relative(task.folder, file).replace(new RegExp(TEMPORARY_ENDING), '.tmp') || basename(file);
