/** Makes every file operation of a small training, resume, export and importance job fail once, in every possible way. */
import { existsSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { LOCK_FILE } from '../../trainer/run/run-lock.ts';
import { FAULT_MODES, type FaultMode, type FaultOperation, type FaultPlan } from './fault-plan.ts';
import { reportedOperations } from './fault-report.ts';
import { caseFolder, makeScenarios, type Scenario, type ScenarioSet, shortPath, treeHash } from './fault-scenarios.ts';
import { type Ended, JobRunner } from './job-runner.ts';
import { type Case, failed, OK, type Part, sampleOf, type Verdict } from './trial.ts';

/** Number of faults per scenario in a sample. */
const SAMPLE = 3;

export const faults: Part = {
  name: 'faults',
  unit: 'faults injected',
  async prepare({ bundles, seed, isSample }) {
    const runner = new JobRunner(bundles);
    const set = await makeScenarios(runner);
    const inputs = inputsHash(set);
    const cases: Case[] = [];
    for (const scenario of set.scenarios) {
      const dir = caseFolder(set.task, `${scenario.name} reference`);
      const operations = await listOperations(runner, scenario, dir, set);
      const expected = scenario.result(dir);
      const all = operations.flatMap(operation => FAULT_MODES[operation.kind].map(mode => ({ operation, mode })));
      for (const { operation, mode } of isSample ? sampleOf(all, SAMPLE, seed) : all) {
        const id = `${scenario.name} ${operation.index} ${mode}`;
        const run = () => attack({ runner, set, scenario, operation, mode, expected, inputs });
        cases.push({ id, count: 1, run });
      }
    }
    return {
      cases,
      dispose: () => {
        runner.dispose();
        rmSync(set.task.folder, { recursive: true, force: true });
      },
    };
  },
};

const inputsHash = ({ task }: ScenarioSet): string =>
  treeHash(join(task.folder, 'model')) + ['train.jsonl', 'heldout.jsonl'].map(name => readFileSync(join(task.folder, name), 'utf8')).join();

const planOf = ({ task }: ScenarioSet, dir: string): FaultPlan => {
  const folder = realpathSync(task.folder);
  return {
    folders: [...['model', 'train.jsonl', 'heldout.jsonl'].map(name => join(folder, name)), realpathSync(dir)],
    report: `${dir}.report`,
  };
};

async function listOperations(runner: JobRunner, scenario: Scenario, dir: string, set: ScenarioSet): Promise<FaultOperation[]> {
  const plan = planOf(set, dir);
  const request = scenario.setup(dir);
  const ended = await runner.run({ request, plan });
  if (ended.kind !== 'done' || ended.outcome.last.type !== 'result')
    throw new Error(`${scenario.name} fails without a fault: ${JSON.stringify(ended)}`);
  return reportedOperations(plan.report);
}

interface Attack {
  readonly runner: JobRunner;
  readonly set: ScenarioSet;
  readonly scenario: Scenario;
  readonly operation: FaultOperation;
  readonly mode: FaultMode;
  readonly expected: string;
  readonly inputs: string;
}

async function attack({ runner, set, scenario, operation, mode, expected, inputs }: Attack): Promise<Verdict> {
  const dir = caseFolder(set.task, `${scenario.name} ${operation.index} ${mode}`);
  const plan: FaultPlan = { ...planOf(set, dir), at: operation.index, mode };
  rmSync(plan.report, { force: true });
  const ended = await runner.run({ request: scenario.setup(dir), plan });
  const [hit] = reportedOperations(plan.report);
  const where = `${scenario.name}: ${mode} of ${hit ? `${hit.call} ${shortPath(set.task, hit.path)}` : `operation ${operation.index} (not reached)`}: `;
  const verdict = judge(ended, hit, mode);
  if (verdict.failing) return failed(verdict.failing, where + verdict.detail);
  // A lock that could not be removed is held as long as its process lives. A real worker lives for only one job.
  if (ended.kind === 'done' && existsSync(join(dir, 'run', LOCK_FILE))) runner.dispose();
  if (inputsHash(set) !== inputs) return failed('lost', `${where}the model or the data has changed`);
  const lost = scenario.afterFault?.(dir);
  if (lost !== undefined) return failed('lost', where + lost);
  const how = ended.kind === 'died' ? 'killed' : ended.kind === 'done' && ended.outcome.last.type === 'result' ? 'done' : 'failed';
  const wrong = await scenario.recover(dir, runner, how);
  if (wrong !== undefined) return failed('lost', where + wrong);
  const result = scenario.result(dir);
  if (result !== expected) return failed('lost', `${where}the end differs: ${result} instead of ${expected}`);
  rmSync(dir, { recursive: true });
  rmSync(plan.report, { force: true });
  return OK;
}

/** Checks that the job ended as it should: with a result, with an error of ours, or killed as planned. */
function judge(ended: Ended, hit: FaultOperation | undefined, mode: FaultMode): Verdict {
  if (ended.kind === 'hung') return failed('hung', 'no end');
  const isKill = mode === 'kill' || mode === 'kill-after';
  if (ended.kind === 'died') return hit && isKill && ended.how === 'SIGKILL' ? OK : failed('crashed', `the process ended: ${ended.how}`);
  const { last, unexpected, stack } = ended.outcome;
  if (last.type !== 'failed') return OK;
  if (!hit) return failed('wrong', `it failed without a fault: ${last.message}`);
  if (unexpected) return failed('crashed', `it is reported as a fault of the program: ${stack}`);
  const isFull = (hit.kind === 'write' || hit.kind === 'make') && last.code !== 'disk-full';
  if (isFull) return failed('wrong', `a full disk is reported as ${last.code}: ${last.message}`);
  return OK;
}
