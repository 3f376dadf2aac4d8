/** What the daemon does for each request: one table, checked against the protocol by the compiler. */
import path from 'node:path';
import { listEngines } from '../engine/install/engine-folder.ts';
import { findNvidiaGpu, knownNvidiaGpu } from '../engine/install/toolchain.ts';
import { describeMachine, freeDiskBytes } from '../machine/machine.ts';
import type { JobContext, JobRequest, WorkerEvent } from '../protocol/job-messages.ts';
import type { DaemonStatus, JobRecord, RequestName, RequestParams, RequestResult, StartOptions } from '../protocol/rpc-messages.ts';
import type { AskReader } from '../reader/reader.ts';
import { requireUsableOutput } from '../run/begin-run.ts';
import { freeRunFolder, recipeName } from '../run/free-run-folder.ts';
import { deleteRunFolder, listRuns, readRunRecipe, summarizeRun } from '../run/run-folder.ts';
import { DaemonError } from './daemon-error.ts';
import type { EventRing } from './event-ring.ts';
import { hasEnded, type JobQueue, type NewJob, notRecorded } from './job-queue.ts';
import { listModels } from './models.ts';
import { estimate, generationBytes, recipeOf } from './recipes.ts';
import { tailRun } from './run-reader.ts';
import { readScores } from './scores-reader.ts';

export interface Services {
  readonly queue: JobQueue;
  readonly ring: EventRing;
  readonly cacheDir: string;
  readonly reader: AskReader;
  /** Memory that is free now. */
  availableBytes(): number;
  /** Engine and hub of every job, as the daemon was started with. */
  readonly jobSettings: Omit<JobContext, 'baseDir'>;
  status(): DaemonStatus;
  /** Resolves when the records of all jobs are on the disk: what was answered is not forgotten. */
  persist(): Promise<void>;
  /** Stops all jobs; resolves when they have ended. */
  stopJobs(): Promise<void>;
}

/** What a handler may know of the connection. */
export interface Call {
  onCancelled(listener: () => void): void;
  /** Calls back when the client is gone. @returns takes the listener away */
  onGone(listener: () => void): () => void;
  progress(token: string, event: WorkerEvent): void;
  /** Events of one job for as long as the call lasts. */
  watch(jobId: string, listener: (event: WorkerEvent) => void): () => void;
}

export type Handlers = {
  readonly [Name in Exclude<RequestName, 'initialize'>]: (
    params: RequestParams<Name>,
    services: Services,
    call: Call,
  ) => RequestResult<Name> | Promise<RequestResult<Name>>;
};

export const handlers: Handlers = {
  daemonStatus: (_, { status }) => status(),
  engineStatus: async (_, { cacheDir }) => ({
    machine: describeMachine(),
    gpu: await findNvidiaGpu(),
    installedEngines: listEngines(cacheDir).map(({ name }) => name),
    freeDiskBytes: freeDiskBytes(cacheDir),
  }),
  listModels: ({ folders }, { cacheDir, reader }) => listModels(cacheDir, folders, reader),
  listRuns: ({ folders }) => listRuns(folders),
  tailRun,
  readScores,
  deleteRun: async ({ runDir }, { queue }) => {
    const run = await summarizeRun(runDir);
    // The state file is what tells a run from any other folder that a path may name.
    if (run === undefined) throw new DaemonError('run-missing', `${runDir} is no run folder`);
    const isUsed = queue.list().some(record => record.runDir === runDir && !hasEnded(record));
    if (isUsed || run.state === 'running' || run.state === 'preparing')
      throw new DaemonError('run-busy', `a job is at work in ${runDir}`, { hint: 'Stop it first' });
    await deleteRunFolder(runDir);
    return {};
  },
  estimate: ({ recipe }, services) => estimate(recipe, services),
  train: (params, services) =>
    once(params, services, async () => {
      const { recipe: source } = params;
      const recipe = await recipeOf(source, services.reader);
      const runDir =
        params.runDir ??
        (await freeRunFolder({ recipe, recipeFile: source.fileName, baseDir: source.baseDir, taken: takenFolders(services.queue) }));
      await requireUsableOutput(runDir);
      const request = { kind: 'train', context: contextOf(services, source.baseDir), recipe, runDir } as const;
      return { request, threads: recipe.threads, title: path.basename(runDir), runDir };
    }),
  resume: (params, services) =>
    once(params, services, async () => {
      const { runDir, overrides = [] } = params;
      const { threads } = await readRunRecipe(runDir, overrides);
      const request = { kind: 'resume', context: contextOf(services, runDir), runDir, overrides } as const;
      return { request, threads, title: path.basename(runDir), runDir };
    }),
  importance: (params, services) =>
    once(params, services, async () => {
      const { recipe: source, outputFile, report } = params;
      const recipe = await recipeOf(source, services.reader);
      const request = { kind: 'importance', context: contextOf(services, source.baseDir), recipe, outputFile, report } as const;
      return { request, threads: recipe.threads, title: recipeName(recipe, source.fileName) };
    }),
  evaluate: (params, services) =>
    once(params, services, async () => {
      const { recipe: source, adapter } = params;
      const recipe = await recipeOf(source, services.reader);
      const request = { kind: 'evaluate', context: contextOf(services, source.baseDir), recipe, adapter } as const;
      return { request, threads: recipe.threads, title: recipeName(recipe, source.fileName) };
    }),
  generate: (params, services) =>
    once(params, services, async () => {
      const { id: _, priority: __, baseDir, ...rest } = params;
      return {
        request: { kind: 'generate', context: contextOf(services, baseDir), ...rest },
        threads: 0,
        title: path.basename(params.model),
        // The memory of a GPU is all the training's.
        besideBytes: (await knownNvidiaGpu()) ? undefined : await generationBytes(params, baseDir, services),
      };
    }),
  exportRun: (params, services) =>
    once(params, services, async () => {
      const { id: _, priority: __, ...rest } = params;
      const request: JobRequest = { kind: 'export', context: contextOf(services, path.dirname(rest.outputDir)), ...rest };
      return { request, threads: 0, title: path.basename(rest.adapter) };
    }),
  verify: (params, services) =>
    once(params, services, async () => {
      const { modelDir, engine } = params;
      const request = { kind: 'verify', context: contextOf(services, modelDir), modelDir, engine } as const;
      return { request, threads: 0, title: path.basename(modelDir) };
    }),
  doctor: (params, services) =>
    once(params, services, async () => {
      const request = { kind: 'doctor', context: contextOf(services, services.cacheDir), engine: params.engine } as const;
      return { request, threads: 0, title: 'doctor' };
    }),
  listJobs: (_, { queue }) => queue.list(),
  waitForJob: ({ id, progressToken, abortOnCancel = false }, { queue }, call) =>
    new Promise((resolve, reject) => {
      // Nothing is registered for a job that is not there.
      queue.check(id);
      const unwatch = progressToken === undefined ? () => undefined : call.watch(id, event => call.progress(progressToken, event));
      // A client that dies wants nothing: its job goes on.
      const stay = call.onGone(() => leave('the client is gone'));
      const forget = queue.whenEnded(id, record => {
        unwatch();
        stay();
        resolve(record);
      });
      const leave = (why: string): void => {
        unwatch();
        stay();
        forget();
        reject(new DaemonError('cancelled', why));
      };
      call.onCancelled(() => {
        leave('the request was cancelled');
        if (abortOnCancel) queue.abort(id);
      });
    }),
  stopJob: ({ id }, services) => recorded(services, services.queue.stop(id)),
  abortJob: ({ id }, services) => recorded(services, services.queue.abort(id)),
  prioritizeJob: ({ id, priority }, services) => recorded(services, services.queue.prioritize(id, priority)),
  eventsSince: ({ seq, epoch }, { ring }) => ring.since(seq, epoch),
  shutdown: async (_, { stopJobs }) => {
    await stopJobs();
    return {};
  },
};

/** Starts whose folder is still being looked for, one after the other: two must not find the same one. */
let starting: Promise<unknown> = Promise.resolve();

function once(
  { id, priority = 0 }: StartOptions,
  { queue }: Services,
  prepare: () => Promise<Omit<NewJob, 'id' | 'priority'>>,
): Promise<JobRecord> {
  const start = starting.then(async () => queue.find(id) ?? queue.add({ id, priority, ...(await prepare()) }));
  starting = start.catch(() => undefined);
  return start;
}

/** A change that the next daemon must know of: a job that was taken out of the queue stays out. */
async function recorded({ persist }: Services, record: JobRecord): Promise<JobRecord> {
  await persist().catch(error => {
    throw notRecorded(`the job is ${record.state}, but the next daemon will not know of it`, error);
  });
  return record;
}

const contextOf = ({ jobSettings }: Services, baseDir: string): JobContext => ({ ...jobSettings, baseDir });

const takenFolders = (queue: JobQueue): ReadonlySet<string> =>
  new Set(queue.list().flatMap(record => (record.runDir === undefined || hasEnded(record) ? [] : [record.runDir])));
