/** The handler of each request, in a table that the compiler checks against the protocol. */
import { existsSync } from 'node:fs';
import { lstat, rm } from 'node:fs/promises';
import path from 'node:path';
import { listEngines } from '../engine/install/engine-folder.ts';
import { findNvidiaGpu, knownNvidiaGpu } from '../engine/install/toolchain.ts';
import { isWithin, realPath } from '../files/real-path.ts';
import { describeMachine, freeDiskBytes } from '../machine/machine.ts';
import { turns } from '../machine/turns.ts';
import type { JobContext, JobRequest, WorkerEvent } from '../protocol/messages/job-messages.ts';
import type {
  DaemonStatus,
  JobRecord,
  RequestName,
  RequestParams,
  RequestResult,
  RunInfo,
  RunNotesChange,
  StartOptions,
} from '../protocol/messages/rpc-messages.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';
import { isOnCluster, placeText } from '../protocol/run/cluster.ts';
import { isActive } from '../protocol/run/run-activity.ts';
import { shellWord } from '../protocol/text/shell-word.ts';
import type { AskReader } from '../reader/reader.ts';
import { requireUsableOutput } from '../run/begin-run.ts';
import { freeRunFolder, freeSweepFolder, recipeName } from '../run/free-run-folder.ts';
import { deleteRunFolder, readRunRecipe, summarizeRun } from '../run/run-folder.ts';
import { changeRunNotes } from '../run/run-notes.ts';
import { isSweepFolder } from '../run/sweep-folder.ts';
import { stopSubmission } from '../slurm/stop-submission.ts';
import { readSubmission, removeSubmission } from '../slurm/submission.ts';
import { readSweep } from '../sweep/sweep-status.ts';
import { countTokens, listChatModels } from './chat-models.ts';
import { type ClusterServices, listClusterProfiles, submitToCluster } from './cluster-requests.ts';
import { listRunsAnywhere, readRun } from './cluster-runs.ts';
import type { EventRing } from './connection/event-ring.ts';
import { DaemonError } from './daemon-error.ts';
import { describeDataFiles } from './data-files.ts';
import type { Devices } from './jobs/device-shares.ts';
import { type JobQueue, type NewJob, notRecorded } from './jobs/job-queue.ts';
import { hasEnded } from './jobs/job-record.ts';
import { listModels } from './models.ts';
import { withImageFiles } from './prompt-images.ts';
import { estimate, generationBytes, modelPath, partOf, recipeOf } from './recipes.ts';
import { tailRun } from './run-reader.ts';
import { readScores } from './scores-reader.ts';

export interface Services extends ClusterServices {
  readonly queue: JobQueue;
  readonly ring: EventRing;
  readonly cacheDir: string;
  readonly reader: AskReader;
  /** Returns the current free memory. */
  availableBytes(): number;
  readonly devices: Devices;
  /** Engine and hub settings of every job, from the start of the daemon. */
  readonly jobSettings: Omit<JobContext, 'baseDir'>;
  /** Path of the worker's bundle, if it is not next to this one. */
  readonly workerFile?: string | undefined;
  status(): DaemonStatus;
  /** Resolves when the records of all jobs are on disk: an answered request is never lost. */
  persist(): Promise<void>;
  /** Stops all jobs; resolves when they have ended. */
  stopJobs(): Promise<void>;
}

/** The connection as a handler sees it. */
export interface Call {
  onCanceled(listener: () => void): void;
  /** Calls back when the client has disconnected. @returns a function that removes the listener */
  onGone(listener: () => void): () => void;
  progress(token: string, event: WorkerEvent): void;
  /** Subscribes to the events of one job for as long as the call lasts. */
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
  modelTasks: async ({ model }, { reader }) => ({ tasks: await reader.ask('tasks', { model }, `Reading ${model}`) }),
  readsImages: async ({ baseDir, ...source }, { reader, cacheDir }) => {
    const model = await modelPath(source, baseDir, cacheDir);
    const { readsImages } = await reader.ask('describe', { model }, `Reading ${model}`);
    return { readsImages };
  },
  newRecipe: async (params, { reader, cacheDir }) => {
    const answer = await reader.ask('newRecipe', { ...params, cacheDir }, `Reading ${params.model}`);
    if ('problem' in answer) return answer;
    const { data: _facts, ...fitting } = answer.fitting;
    return { fitting };
  },
  describeData: async ({ files }, { reader }) => ({ files: await describeDataFiles(files, reader) }),
  listChatModels: async ({ folders }, services) => ({ models: await listChatModels(folders, services) }),
  countTokens: async ({ runDir, texts }, services) => ({ tokens: await countTokens(runDir, texts, services) }),
  listRuns: ({ folders }) => listRunsAnywhere(folders),
  tailRun,
  readScores,
  deleteRun: ({ runDir }, services) => inTurn(() => deleteRun(runDir, services)),
  clusterProfiles: listClusterProfiles,
  submitToCluster: (params, services) => inTurn(async () => submitToCluster(params, services, await takenFolders(services.queue))),
  stopOnCluster: ({ runDir, save }) => stopOnCluster(runDir, save),
  noteRun: ({ runDir, change }) => noteRun(runDir, change),
  estimate: ({ recipe }, services) => estimate(recipe, services),
  train: (params, services) =>
    once(params, services, async () => {
      const { recipe: source } = params;
      const recipe = await recipeOf(source, services.reader);
      const taken = await takenFolders(services.queue);
      const { fileName: recipeFile, baseDir } = source;
      const runDir = params.runDir ?? (await freeRunFolder({ recipe, recipeFile, baseDir, taken }));
      if (taken.has(await realPath(runDir))) throw folderTaken(runDir);
      await requireUsableOutput(runDir);
      const request = { kind: 'train', context: contextOf(services, source.baseDir), recipe, runDir } as const;
      const part = await partOf(recipe, baseDir, services);
      return { request, ...part, title: path.basename(runDir), runDir, reads: readsOf(recipe, baseDir) };
    }),
  resume: (params, services) =>
    once(params, services, async () => {
      const { runDir, overrides = [] } = params;
      await requireUnheld(runDir, services.queue);
      if (isSweepFolder(runDir)) return continueSweep(runDir, services);
      requireOffCluster(await readRun(runDir));
      const part = await partOf(await readRunRecipe(runDir, overrides), runDir, services);
      const request = { kind: 'resume', context: contextOf(services, runDir), runDir, overrides } as const;
      return { request, ...part, title: path.basename(runDir), runDir };
    }),
  sweep: (params, services) =>
    once(params, services, async () => {
      const { recipe: source, sweepDir } = params;
      if (source === undefined && sweepDir !== undefined) {
        await requireUnheld(sweepDir, services.queue);
        return continueSweep(sweepDir, services);
      }
      if (source === undefined) throw new DaemonError('bad-params', 'a sweep needs a recipe or the folder of a sweep');
      const recipe = await recipeOf(source, services.reader);
      const taken = await takenFolders(services.queue);
      const { fileName, baseDir } = source;
      const folder = sweepDir ?? (await freeSweepFolder({ recipe, recipeFile: fileName, baseDir, taken }));
      if (taken.has(await realPath(folder))) throw folderTaken(folder);
      await requireUsableOutput(folder);
      const request = { kind: 'sweep', context: contextOf(services, baseDir), sweepDir: folder, source } as const;
      return { request, threads: 1, title: path.basename(folder), runDir: folder, reads: readsOf(recipe, baseDir) };
    }),
  readSweep: async ({ sweepDir }) => (await readSweep(sweepDir)) ?? null,
  importance: (params, services) =>
    once(params, services, async () => {
      const { recipe: source, outputFile, report } = params;
      const recipe = await recipeOf(source, services.reader);
      const request = { kind: 'importance', context: contextOf(services, source.baseDir), recipe, outputFile, report } as const;
      const reads = readsOf(recipe, source.baseDir);
      return { request, threads: recipe.threads, title: recipeName(recipe, source.fileName), reads };
    }),
  evaluate: (params, services) =>
    once(params, services, async () => {
      const { recipe: source, adapter } = params;
      const recipe = await recipeOf(source, services.reader);
      const request = { kind: 'evaluate', context: contextOf(services, source.baseDir), recipe, adapter } as const;
      const reads = [...readsOf(recipe, source.baseDir), ...(adapter === undefined ? [] : [adapter])];
      return { request, threads: recipe.threads, title: recipeName(recipe, source.fileName), reads };
    }),
  previewData: (params, services) =>
    once(params, services, async () => {
      const { recipe: source, part, from, count, statistics } = params;
      const recipe = await recipeOf(source, services.reader);
      const request = { kind: 'data', context: contextOf(services, source.baseDir), recipe, part, from, count, statistics } as const;
      return { request, threads: 0, title: recipeName(recipe, source.fileName) };
    }),
  generate: (params, services) =>
    once(params, services, async () => {
      const { id: _, priority: __, baseDir, ...rest } = params;
      return {
        request: { kind: 'generate', context: contextOf(services, baseDir), ...(await withImageFiles(rest, services.cacheDir)) },
        threads: 0,
        title: path.basename(params.model),
        reads: params.adapter === undefined ? [] : [params.adapter],
        // A training on the GPU uses all of its memory.
        sharedBytes: (await knownNvidiaGpu()) ? undefined : await generationBytes(params, baseDir, services),
      };
    }),
  exportRun: (params, services) =>
    once(params, services, async () => {
      const { id: _, priority: __, ...rest } = params;
      const request: JobRequest = { kind: 'export', context: contextOf(services, path.dirname(rest.outputDir)), ...rest };
      return { request, threads: 0, title: path.basename(rest.adapter), reads: [rest.adapter] };
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
      // Do not register anything for a job that does not exist.
      queue.check(id);
      const unwatch = progressToken === undefined ? () => undefined : call.watch(id, event => call.progress(progressToken, event));
      // The death of a client must not affect its job.
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
        reject(new DaemonError('canceled', why));
      };
      call.onCanceled(() => {
        leave('the request was canceled');
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

const folderTaken = (folder: string): DaemonError =>
  new DaemonError('run-busy', `another queued job uses the folder ${folder}`, {
    hint: 'Stop that job first, or choose another output_dir',
  });

/** @throws DaemonError 'run-busy' if a job trains the run or sweep, or will do so */
async function requireUnheld(runDir: string, queue: JobQueue): Promise<void> {
  const [folder, ...held] = await Promise.all([runDir, ...queue.heldFolders()].map(realPath));
  if (folder !== undefined && held.includes(folder))
    throw new DaemonError('run-busy', `a job is already training ${runDir}, or waits to train it`, {
      hint: 'Wait for that job, or stop it first',
    });
}

function continueSweep(sweepDir: string, services: Services): Omit<NewJob, 'id' | 'priority'> {
  const request = { kind: 'sweep', context: contextOf(services, sweepDir), sweepDir } as const;
  return { request, threads: 1, title: path.basename(sweepDir), runDir: sweepDir };
}

/** Serializes work on folders: two starts must not choose the same folder, nor one that is being deleted. */
const inTurn = turns();

const once = (
  { id, priority = 0 }: StartOptions,
  { queue }: Services,
  prepare: () => Promise<Omit<NewJob, 'id' | 'priority'>>,
): Promise<JobRecord> => inTurn(async () => queue.find(id) ?? queue.add({ id, priority, ...(await prepare()) }));

/** @throws DaemonError 'run-missing', or 'run-busy' if a job writes or reads in it, under any path */
async function deleteRun(runDir: string, { queue }: Services): Promise<Record<string, never>> {
  const real = await realPath(runDir);
  const run = await readRun(real);
  // The state file distinguishes a run from other folders; the record of a job identifies one that never began.
  if (run === undefined) throw new DaemonError('run-missing', `${runDir} is not a run folder`);
  requireOffCluster(run);
  const used = await Promise.all(queue.usedFolders().map(realPath));
  if (used.some(folder => isWithin(folder, real)) || isActive(run.state))
    throw new DaemonError('run-busy', `a job is using ${runDir}, or is queued to read it`, { hint: 'Stop it first' });
  if (existsSync(real)) await deleteRunFolder(real);
  await removeSubmission(real);
  // Remove a link to the deleted folder, too.
  const isLink = await lstat(runDir).then(
    found => found.isSymbolicLink(),
    () => false,
  );
  if (isLink && !existsSync(real)) await rm(runDir, { force: true });
  return {};
}

/** @throws DaemonError 'run-missing'; 'bad-params' for a text that is too long */
async function noteRun(runDir: string, change: RunNotesChange): Promise<Record<string, never>> {
  if ((await summarizeRun(runDir)) === undefined) throw new DaemonError('run-missing', `${runDir} is not a run folder`);
  await changeRunNotes(runDir, change).catch((error: unknown) => {
    throw error instanceof RangeError ? new DaemonError('bad-params', error.message) : error;
  });
  return {};
}

/** @throws DaemonError 'job-missing' if Slurm does not have the run; RunError 'slurm-failed' */
async function stopOnCluster(runDir: string, save: boolean): Promise<Record<string, never>> {
  const submission = await readSubmission(runDir);
  if (submission === undefined || (await stopSubmission(runDir, submission, { save })) === 'ended')
    throw new DaemonError('job-missing', `Slurm has no job for ${runDir}`, { hint: 'Show its state with: rowtune runs' });
  return {};
}

/** @throws DaemonError 'run-busy' if Slurm trains the run, or will train it */
function requireOffCluster(run: RunInfo | undefined): void {
  if (run?.cluster === undefined || !isOnCluster(run.cluster)) return;
  const { runDir, sweepDir, cluster } = run;
  throw new DaemonError('run-busy', `Slurm has ${runDir} (${placeText(cluster)})`, {
    hint: `Stop it first: rowtune runs --stop ${shellWord(sweepDir ?? runDir)}`,
  });
}

/** Files of earlier runs that a recipe names. */
const readsOf = ({ importance: { scores } }: Recipe, baseDir: string): string[] =>
  scores === undefined ? [] : [path.resolve(baseDir, scores)];

/** Saves a change that the next daemon must know: a canceled job must stay canceled. */
async function recorded({ persist }: Services, record: JobRecord): Promise<JobRecord> {
  await persist().catch(error => {
    throw notRecorded(`the job is ${record.state}, but the next daemon will not know of it`, error);
  });
  return record;
}

const contextOf = ({ jobSettings }: Services, baseDir: string): JobContext => ({ ...jobSettings, baseDir });

/** Folders of unfinished jobs, by their real paths. */
async function takenFolders(queue: JobQueue): Promise<ReadonlySet<string>> {
  const folders = queue.list().flatMap(record => (record.runDir === undefined || hasEnded(record) ? [] : [record.runDir]));
  return new Set(await Promise.all(folders.map(realPath)));
}
