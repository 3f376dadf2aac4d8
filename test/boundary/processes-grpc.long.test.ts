/**
 * Tests runs of several processes without MPI, over TensorFlow's collectives: results equal to one process, the end of a killed rank,
 * launchers, and two networks.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { installMpi } from '../../trainer/engine/install/install-mpi.ts';
import { type CommandResult, runCommand } from '../../trainer/engine/install/run-command.ts';
import { readMetrics } from '../../trainer/run/metrics-file.ts';
import { locatePython } from '../interop/python.ts';
import { cacheDir, ROWTUNE } from '../support/daemon/daemon.ts';
import { neighboringPorts } from '../support/machine/neighboring-ports.ts';
import { makeTwoNetworks } from '../support/machine/two-networks.ts';
import { ENDLESS, exchangeCases, expectResultOfOne, FOUR_UPDATES, LOSS, makeProcessData } from '../support/runs/process-cases.ts';
import { expectLostRank, expectToContinue, lossesOf, trainIn } from '../support/runs/process-runs.ts';
import { makeTinyTask } from '../support/runs/tiny-task.ts';
import { engineForTests } from '../unit/engine/engine-for-tests.ts';

const { engine, reason } = await engineForTests();
const task = makeTinyTask();
const folder = mkdtempSync(join(tmpdir(), 'rowtune-grpc-'));
const networks = engine ? makeTwoNetworks() : 'there is no engine';
const torchrun = await torchrunOf();
const noNetworks = typeof networks === 'string' ? ` (skipped: ${networks})` : '';
afterAll(() => {
  if (typeof networks !== 'string') networks.remove();
  rmSync(folder, { recursive: true, force: true });
  rmSync(task.folder, { recursive: true, force: true });
});

const OVER_GRPC = 'process_transport=grpc';
const BOTH = ['processes=2', OVER_GRPC];
/** The context of a command that a user types. */
const context = { ...task.context, opensPorts: true };

describe.skipIf(!engine)(`processes over gRPC ${reason}`, () => {
  beforeAll(async () => {
    await installMpi({ cacheDir, log: () => undefined });
    await makeProcessData(folder);
  });

  // The exchange is the same above the transport, so cases alternate between both. Those over gRPC run over MPI on the PJRT engine
  // (processes-pjrt.long.test.ts), and other accumulated ones over MPI on this engine (processes.long.test.ts).
  const overEach = exchangeCases.map((one, i) =>
    i % 2 === 0 ? { ...one, by: 'gRPC', transport: [OVER_GRPC] } : { ...one, by: 'MPI', transport: [] },
  );
  test.each(overEach)('$title: $processes processes over $by give the result of one', ({ by: _, transport, ...one }) =>
    expectResultOfOne(one, { folder, task, divisions: [{ parts: 'processes', transport }] }),
  );

  test('a killed rank ends both for one reason, and the run continues', async () => {
    const runDir = join(folder, 'killed');
    const recipe = task.recipe(...FOUR_UPDATES, ...ENDLESS, ...BOTH, 'per_device_train_batch_size=2');
    // A healthy rank may be silent for seconds on a busy machine.
    const patient = { ...context, silentSeconds: 120 };
    const signaled = { recipe, runDir, context: patient, signal: 'SIGKILL', victim: 1 } as const;
    await expectLostRank(signaled, /^rank 1 \(process \d+\) was killed \(SIGKILL\)/);
    await expectToContinue(runDir, context);
  });

  test('ports are opened for a person who has typed the command, and for nobody else', async () => {
    const recipe = task.recipe(...FOUR_UPDATES, ...BOTH);
    const { last } = await trainIn(join(folder, 'untyped'), recipe, task.context);
    expect(last).toMatchObject({
      type: 'failed',
      code: 'unsupported',
      message: expect.stringContaining('neither the editor nor the daemon starts it'),
    });
  });

  test.skipIf(noNetworks !== '')(`two networks with an address each train one run, found by TF_CONFIG${noNetworks}`, async () => {
    if (typeof networks === 'string') return;
    const runDir = join(folder, 'apart');
    const worker = networks.addresses.map(address => `${address}:7017`);
    const ranks = networks.enter.map((enter, index) =>
      runCommand('ip', [...enter, ...launchedTraining(runDir)], {
        env: { ROWTUNE_CACHE: cacheDir, TF_CONFIG: JSON.stringify({ cluster: { worker }, task: { type: 'worker', index } }) },
      }),
    );
    const [first, second] = await Promise.all(ranks);
    expect([first?.status, second?.status], `${first?.output}\n${second?.output}`).toEqual([0, 0]);
    expect(first?.output).toContain('this process listens on port 7017 of all addresses of its machine, without asking for a password');
    await expectLossesOfOne(runDir);
  });

  test('a launcher that sets the variables of torchrun', async () => {
    const runDir = join(folder, 'variables');
    const MASTER_PORT = String(await neighboringPorts(3));
    const shared = { ROWTUNE_CACHE: cacheDir, WORLD_SIZE: '2', LOCAL_WORLD_SIZE: '2', MASTER_ADDR: 'localhost', MASTER_PORT };
    const ranks = ['0', '1'].map(rank =>
      runCommand(process.execPath, launchedTraining(runDir).slice(1), { env: { ...shared, RANK: rank, LOCAL_RANK: rank } }),
    );
    const [first, second] = await Promise.all(ranks);
    expect([first?.status, second?.status], `${first?.output}\n${second?.output}`).toEqual([0, 0]);
    const ports = [1, 2].map(after => `127.0.0.1:${Number(MASTER_PORT) + after}`);
    expect(first?.output).toContain(`2 processes of torchrun: ${ports.join(', ')}`);
    expect(first?.output).toContain('each update averages over 4 rows (2 processes × 2)');
    // Warnings are shown once, by the first process.
    expect([first, second].map(process => process?.output.split('warning open-ports').length)).toEqual([2, 1]);
    await expectLossesOfOne(runDir);
  });

  test.skipIf(!torchrun.run)(`torchrun itself${torchrun.run ? '' : ` (skipped: ${torchrun.missing})`}`, async () => {
    const runDir = join(folder, 'torchrun');
    const port = String(await neighboringPorts(3));
    const launch = ['--no-python', '--nproc-per-node', '2', '--master-port', port];
    const result = await torchrun.run?.([...launch, ...launchedTraining(runDir)]);
    expect(result?.status, result?.output).toBe(0);
    await expectLossesOfOne(runDir);
  });
});

/** The command that a launcher starts once per process; each computes half of every batch. */
function launchedTraining(runDir: string): string[] {
  const recipe = join(task.folder, 'launched.rowtune.yaml');
  writeFileSync(recipe, task.text);
  const settings = [...FOUR_UPDATES, 'per_device_train_batch_size=2', OVER_GRPC, `output_dir=${runDir}`];
  return [process.execPath, ROWTUNE, 'train', recipe, '--no-daemon', ...settings];
}

/** The losses of the whole batch in one process. */
let expected: Promise<number[]> | undefined;

async function expectLossesOfOne(runDir: string): Promise<void> {
  const recipe = task.recipe(...FOUR_UPDATES, 'per_device_train_batch_size=4');
  expected ??= trainIn(join(folder, 'together'), recipe, task.context).then(({ metrics }) => lossesOf(metrics));
  const found = lossesOf(await readMetrics(runDir));
  expect(found).toHaveLength(4);
  for (const [i, loss] of (await expected).entries()) expect(Math.abs((found[i] ?? Number.NaN) - loss)).toBeLessThan(LOSS * (1 + loss));
}

interface Torchrun {
  readonly run?: (args: readonly string[]) => Promise<CommandResult>;
  readonly missing?: string;
}

async function torchrunOf(): Promise<Torchrun> {
  if (!engine) return { missing: 'there is no engine' };
  const found = await locatePython(cacheDir);
  if ('missing' in found) return found;
  return { run: args => runCommand(found.python, ['-m', 'torch.distributed.run', ...args], { env: { ROWTUNE_CACHE: cacheDir } }) };
}
