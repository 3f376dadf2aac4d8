/** Tests runs and sweeps that a client submits to Slurm through the daemon: profiles, the job, its place in the list, its end. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SubmitParams } from '../../../trainer/protocol/run/cluster.ts';
import { RUN_FILES } from '../../../trainer/protocol/run/run-files.ts';
import type { DaemonClient } from '../../../trainer/rpc/connection/connect.ts';
import type { Daemon } from '../../../trainer/rpc/daemon.ts';
import { connectTo, startTestDaemon } from '../../support/daemon/daemon.ts';
import { type FakeSlurm, fakeSlurm } from '../../support/machine/fake-slurm.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

const task = makeTinyTask();
const configDir = mkdtempSync(join(tmpdir(), 'rowtune-config-'));
const at = (...names: string[]): string => join(task.folder, ...names);
let slurm: FakeSlurm;
let daemon: Daemon;
let client: DaemonClient;
beforeAll(async () => {
  slurm = fakeSlurm(mkdtempSync(join(configDir, 'slurm-')));
  daemon = await startTestDaemon({ configDir, command: ['/opt/node', '/opt/rowtune.js'] });
  client = await connectTo(daemon);
});
afterAll(async () => {
  client.close();
  await daemon.stop();
  slurm.remove();
  for (const folder of [task.folder, configDir]) rmSync(folder, { recursive: true, force: true });
});

const recipe = (...overrides: string[]) => ({ text: task.text, fileName: 'spam.rowtune.yaml', baseDir: task.folder, overrides });
let count = 0;
const submit = (what: SubmitParams['what'], profile?: string) =>
  client.request('submitToCluster', { id: `submit-${count++}`, what, ...(profile && { profile }) });
const profilesIn = async (folder: string, file?: string) =>
  (await client.request('clusterProfiles', { folder, ...(file && { file }) })).profiles;
const lastScript = (): string => slurm.scripts().at(-1) ?? '';

test('profiles list the one in effect first, with the resources it requests', async () => {
  expect(await profilesIn(task.folder)).toEqual([{ text: '1 node with 1 process', isValid: true }]);
  writeFileSync(join(configDir, 'slurm.yaml'), 'partition: all\n');
  expect(await profilesIn(task.folder)).toEqual([
    { file: join(configDir, 'slurm.yaml'), text: 'partition all, 1 node with 1 process', isValid: true },
  ]);
  writeFileSync(at('slurm.yaml'), 'nodes: 2\ntasks_per_node: 4\ngpus_per_task: 1\ncpus_per_task: 8\nmemory: 64G\ntime: "8:00:00"\n');
  writeFileSync(at('wrong.slurm.yaml'), 'nodes: many\n');
  expect(await profilesIn(task.folder)).toEqual([
    {
      file: at('slurm.yaml'),
      text: '2 nodes with 4 processes each, 8 cores and 1 GPU per process, 64G per node, up to 8:00:00',
      isValid: true,
    },
    { file: join(configDir, 'slurm.yaml'), text: 'partition all, 1 node with 1 process', isValid: true },
    { file: at('wrong.slurm.yaml'), text: expect.stringContaining('nodes: '), isValid: false },
  ]);
  expect(await profilesIn(task.folder, join(configDir, 'slurm.yaml'))).toHaveLength(1);
  rmSync(at('wrong.slurm.yaml'));
});

test('a run is submitted once for each id, is listed with its place in the queue, and can be removed from it', async () => {
  const params = { id: 'once', what: { kind: 'train', recipe: recipe() } } as const;
  const [first, again] = await Promise.all([client.request('submitToCluster', params), client.request('submitToCluster', params)]);
  const runDir = at('runs', 'spam');
  expect(first).toEqual({ jobId: '101', folder: runDir, text: '8 processes' });
  expect(again).toEqual(first);
  expect(slurm.scripts()).toHaveLength(1);
  expect(lastScript()).toMatch(/^#SBATCH --nodes=2$/m);
  expect(lastScript()).toContain(`srun --mpi=pmi2 --cpus-per-task=8 '/opt/node' '/opt/rowtune.js' "$@" --no-daemon`);
  const { runs } = await client.request('listRuns', { folders: [at('runs')] });
  expect(runs).toMatchObject([{ runDir, state: 'queued', cluster: { jobId: '101', text: 'pending (Resources), next in its partition' } }]);
  // Another run of the recipe gets a new folder, wherever it trains.
  expect((await submit({ kind: 'train', recipe: recipe() }, join(configDir, 'slurm.yaml'))).folder).toBe(at('runs', 'spam-2'));
  await expect(submit({ kind: 'continue', folder: runDir })).rejects.toMatchObject({ code: 'run-missing' });
  await client.request('stopOnCluster', { runDir, save: true });
  await client.request('stopOnCluster', { runDir: at('runs', 'spam-2'), save: true });
  await expect(client.request('stopOnCluster', { runDir, save: true })).rejects.toMatchObject({ code: 'job-missing' });
});

test('the rest of a stopped run is submitted, unless it already waits in Slurm', async () => {
  const runDir = at('runs', 'stopped');
  mkdirSync(runDir, { recursive: true });
  writeFileSync(join(runDir, RUN_FILES.recipe), task.text);
  const { folder } = await submit({ kind: 'continue', folder: runDir });
  expect(folder).toBe(runDir);
  expect(lastScript()).toContain(`set -- resume '${runDir}'`);
  await expect(submit({ kind: 'continue', folder: runDir })).rejects.toMatchObject({ code: 'run-busy' });
});

test('a sweep is submitted with the processes that the profile asks for each run', async () => {
  const file = join(configDir, 'many.slurm.yaml');
  writeFileSync(file, 'tasks_per_node: 2\ncpus_per_task: 3\ngpus_per_task: 1\nworkers: 2\n');
  const swept = recipe('sweep.over={r: [4, 8, 16]}', 'eval_strategy=epoch', 'dtype=float32');
  const { text, folder } = await submit({ kind: 'sweep', recipe: swept }, file);
  expect([text, folder]).toEqual(['3 runs of 2 processes, 2 workers', at('runs', 'spam-sweep')]);
  expect(lastScript()).toContain(`srun --ntasks=1 --cpus-per-task=6 --gpus-per-task=2 '/opt/node' '/opt/rowtune.js' sweep`);
  expect(await client.request('readSweep', { sweepDir: folder })).toMatchObject({ runs: [{ id: '001' }, { id: '002' }, { id: '003' }] });
  await client.request('stopOnCluster', { runDir: folder, save: true });
  // A worker starts the processes of its runs itself, so it has the cores of all of them.
  await expect(submit({ kind: 'continue', folder }, join(configDir, 'slurm.yaml'))).rejects.toMatchObject({
    code: 'bad-profile',
    message: expect.stringContaining('trains in 2 processes, and the profile asks for 1'),
  });
  expect((await submit({ kind: 'continue', folder }, file)).text).toBe('3 runs of 2 processes, 2 workers');
});

test.each([
  { what: 'a recipe without a sweep', kind: 'sweep', overrides: [], code: 'bad-recipe' },
  { what: 'a transport that opens ports', kind: 'train', overrides: ['engine=tensorflow', 'process_transport=grpc'], code: 'unsupported' },
] as const)('$what is refused', async ({ kind, overrides, code }) => {
  const before = slurm.scripts().length;
  await expect(submit({ kind, recipe: recipe(...overrides, 'output_dir=runs/refused') })).rejects.toMatchObject({ code });
  expect(slurm.scripts()).toHaveLength(before);
});

test('runs of a sweep that would need several nodes are refused', async () => {
  const swept = recipe('sweep.over={r: [4, 8]}', 'eval_strategy=epoch', 'dtype=float32', 'output_dir=runs/nodes');
  await expect(submit({ kind: 'sweep', recipe: swept })).rejects.toMatchObject({ code: 'bad-profile' });
});
