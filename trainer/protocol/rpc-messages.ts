/** What clients (command line, editor) and the daemon say to each other: every message once, as a value that carries its types. */
import type { ExportFormat } from '../catalog/artifacts.ts';
import type { GenerateOptions, JobKind, WorkerEvent } from './job-messages.ts';
import type { Problem } from './problem.ts';

/** A client of another version is told so; what both know is in `capabilities`. */
export const PROTOCOL_VERSION = 1;

/** Largest message either side takes: a page of log or metrics is far below, a prompt of a million characters still passes. */
export const MAX_FRAME_BYTES = 8 * 2 ** 20;

/** The subprotocol of the socket; a client that can set no header sends `token.<token>` beside it. */
export const SUBPROTOCOL = 'rowtune.1';
export const TOKEN_PROTOCOL = 'token.';

/** The types are carried in `types`, which has no value at run time. */
export interface Message<Params, Result> {
  readonly method: string;
  readonly types?: (params: Params) => Result;
}

const message = <Params, Result>(method: string): Message<Params, Result> => ({ method });

export type ParamsOf<M> = M extends Message<infer Params, infer _> ? Params : never;
export type ResultOf<M> = M extends Message<infer _, infer Result> ? Result : never;

/** A message without parameters has an empty object. */
export type Nothing = Readonly<Record<string, never>>;

export interface InitializeParams {
  readonly protocol: number;
  readonly client: { readonly name: string; readonly version: string };
  /** `events`: wants `job/event` and `job/changed`. */
  readonly capabilities: { readonly events: boolean };
}

export interface InitializeResult {
  readonly protocol: number;
  readonly version: string;
  readonly pid: number;
  readonly startedAt: string;
  /** The methods that this daemon answers. */
  readonly capabilities: { readonly requests: readonly string[] };
  /** Of the newest event. */
  readonly seq: number;
}

export type JobState = 'queued' | 'running' | 'stopping' | 'succeeded' | 'stopped' | 'aborted' | 'failed';

export interface JobFailure {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
}

export interface JobRecord {
  /** Chosen by the client; a second start with the same id gives this record and starts nothing. */
  readonly id: string;
  readonly kind: JobKind;
  readonly state: JobState;
  /** Larger goes first; equal ones in the order they came. */
  readonly priority: number;
  /** What it is about, for people: a run's name, a model. */
  readonly title: string;
  readonly runDir?: string;
  readonly pid?: number;
  readonly createdAt: string;
  readonly startedAt?: string;
  readonly endedAt?: string;
  readonly phase?: string;
  readonly progress?: Extract<WorkerEvent, { type: 'progress' }>;
  readonly metrics?: { readonly step: number; readonly values: Readonly<Record<string, number>> };
  /** Why it failed. */
  readonly failure?: JobFailure;
  /** The run can go on from a checkpoint: start `resume` with this folder. */
  readonly resume?: { readonly runDir: string };
  readonly result?: unknown;
}

export interface StartOptions {
  /** Unique; makes the start idempotent. */
  readonly id: string;
  /** Default 0. */
  readonly priority?: number;
}

/** A recipe as text, so that the one parser gives every problem its place; a buffer need not be saved. */
export interface RecipeSource {
  readonly text: string;
  readonly fileName: string;
  /** Absolute; relative paths of the recipe start here. */
  readonly baseDir: string;
  readonly overrides?: readonly string[];
}

export interface RunInfo {
  readonly runDir: string;
  readonly name: string;
  /** Of the recipe; absent in runs of older versions. */
  readonly method?: string;
  readonly task?: string;
  readonly state: 'preparing' | 'running' | 'stopped' | 'finished' | 'failed' | 'interrupted';
  readonly reason?: string;
  readonly step: number;
  readonly totalSteps: number;
  readonly epoch?: number;
  /** Of the training, as the newest line of metrics has it. */
  readonly loss?: number;
  /** The newest values by their names in metrics.jsonl: loss, eval_loss, eval_accuracy …; absent in runs of older versions. */
  readonly metrics?: Readonly<Record<string, number>>;
  readonly startedAt: string;
  readonly updatedAt: string;
  readonly ageSeconds: number;
  /** There is a checkpoint to continue from; a daemon of an older version does not say. */
  readonly resumable?: boolean;
}

export interface RunList {
  /** Newest first. */
  readonly runs: readonly RunInfo[];
  /** The folders are too large to be searched whole: there may be more runs. */
  readonly truncated: boolean;
}

export interface ModelList {
  readonly models: readonly ModelInfo[];
  /** As of RunList. */
  readonly truncated: boolean;
}

export interface ModelInfo {
  /** The name on the hub, or the name of the folder. */
  readonly name: string;
  readonly path: string;
  /** `run`: it was exported into the folder of a run. */
  readonly source: 'cache' | 'folder' | 'run';
  readonly family?: string;
  readonly parameters?: number;
  readonly weightBytes?: number;
  readonly dtypes?: readonly string[];
  /** It can be asked something. Daemons of older versions do not say. */
  readonly writesText?: boolean;
  /** Why its headers can't be read. */
  readonly problem?: string;
}

export interface EngineStatus {
  readonly machine: {
    readonly cpu: { readonly model: string; readonly cores: number; readonly features: readonly string[] };
    readonly memory: { readonly totalBytes: number; readonly availableBytes: number };
  };
  /** The first one of NVIDIA's; others are known to the portable engine alone. */
  readonly gpu?: { readonly name: string; readonly driver: string; readonly freeBytes?: number };
  readonly installedEngines: readonly string[];
  readonly freeDiskBytes: number;
}

export interface DaemonStatus {
  readonly version: string;
  readonly pid: number;
  readonly startedAt: string;
  readonly uptimeSeconds: number;
  readonly clients: number;
  readonly jobs: { readonly queued: number; readonly running: number; readonly ended: number };
  readonly rssBytes: number;
  readonly logFile: string;
  readonly seq: number;
}

/** Lines from `from` on, at most a page of them; ask again with `next` until `next` stays. */
export interface TailParams {
  readonly runDir: string;
  readonly file: TailedFile;
  /** Counted from 0; a line half written is not yet one. */
  readonly from: number;
  /** As the page before gave it; without it only a file that has become shorter is noticed. */
  readonly version?: string;
}

/** What of a run can be read line by line; the first two grow. */
export const TAILED_FILES = ['metrics', 'log', 'recipe', 'coverage', 'memory', 'evaluation', 'summary'] as const;
export type TailedFile = (typeof TAILED_FILES)[number];

export interface TailResult {
  readonly lines: readonly string[];
  readonly next: number;
  /** The file has fewer lines than `from`, or is another one: the run went on from an earlier checkpoint, so read it from 0 again. */
  readonly rewound: boolean;
  /** More lines are there already. */
  readonly more: boolean;
  /** Of the file, as long as lines are only appended to it; empty where there is none. */
  readonly version: string;
}

/** Of a file of scores, or of a run's files that a heatmap is drawn from. */
export interface ReadScoresParams {
  readonly path: string;
  /** A byte, counted from 0. */
  readonly from: number;
  /** As the page before gave it; from 0 on, as the copy is that is there already. */
  readonly version?: string;
}

export interface ScoresPage {
  /** Empty where the file is another one than `version` says, or from 0 on still the same. */
  readonly base64: string;
  readonly size: number;
  readonly modifiedMs: number;
  /** Empty where there is no such file. */
  readonly version: string;
}

export interface JobEvent {
  readonly seq: number;
  readonly jobId: string;
  readonly event: WorkerEvent | { readonly type: 'state'; readonly state: JobState };
}

export interface EventsResult {
  readonly events: readonly JobEvent[];
  /** False where older events have left the ring: read `jobs/list` and the tails of the runs instead. */
  readonly complete: boolean;
  /** Of another start of the daemon than the one that `seq` came from: begin anew. */
  readonly epoch: string;
}

/** Every request; the daemon's handlers are checked against this table by the compiler. */
export const requests = {
  initialize: message<InitializeParams, InitializeResult>('initialize'),
  daemonStatus: message<Nothing, DaemonStatus>('daemon/status'),
  engineStatus: message<Nothing, EngineStatus>('engine/status'),
  listModels: message<{ readonly folders: readonly string[] }, ModelList>('models/list'),
  listRuns: message<{ readonly folders: readonly string[] }, RunList>('runs/list'),
  tailRun: message<TailParams, TailResult>('runs/tail'),
  readScores: message<ReadScoresParams, ScoresPage>('scores/read'),
  deleteRun: message<{ readonly runDir: string }, Nothing>('runs/delete'),
  /** Gives the trainer's own estimate (trainer/memory). */
  estimate: message<{ readonly recipe: RecipeSource }, unknown>('estimate'),
  train: message<StartOptions & { readonly recipe: RecipeSource; readonly runDir?: string }, JobRecord>('jobs/train'),
  resume: message<StartOptions & { readonly runDir: string; readonly overrides?: readonly string[] }, JobRecord>('jobs/resume'),
  /** With `report` also the stability report beside the scores. */
  importance: message<StartOptions & { readonly recipe: RecipeSource; readonly outputFile: string; readonly report?: boolean }, JobRecord>(
    'jobs/importance',
  ),
  evaluate: message<StartOptions & { readonly recipe: RecipeSource; readonly adapter?: string }, JobRecord>('jobs/evaluate'),
  generate: message<
    StartOptions & {
      readonly model: string;
      readonly revision: string;
      readonly baseDir: string;
      readonly adapter?: string;
      readonly prompt: string;
      /** A run whose way of writing prompts is taken, for its base model too; goes before `chat` where it is known. */
      readonly promptOf?: string;
      readonly options: GenerateOptions;
    },
    JobRecord
  >('jobs/generate'),
  exportRun: message<
    StartOptions & { readonly adapter: string; readonly format: ExportFormat; readonly outputDir: string; readonly overwrite: boolean },
    JobRecord
  >('jobs/export'),
  verify: message<StartOptions & { readonly modelDir: string; readonly engine: GenerateOptions['engine'] }, JobRecord>('jobs/verify'),
  doctor: message<StartOptions & { readonly engine: GenerateOptions['engine'] }, JobRecord>('jobs/doctor'),
  listJobs: message<Nothing, readonly JobRecord[]>('jobs/list'),
  /**
   * Resolves when the job has ended. With `progressToken` its events from here on come as `$/progress`. Canceling the request ends the
   * wait alone, or with `abortOnCancel` the job.
   */
  waitForJob: message<{ readonly id: string; readonly progressToken?: string; readonly abortOnCancel?: boolean }, JobRecord>('jobs/wait'),
  /** A queued job leaves the queue; a training saves and ends; others end. */
  stopJob: message<{ readonly id: string }, JobRecord>('jobs/stop'),
  /** Ends it without saving. */
  abortJob: message<{ readonly id: string }, JobRecord>('jobs/abort'),
  prioritizeJob: message<{ readonly id: string; readonly priority: number }, JobRecord>('jobs/prioritize'),
  eventsSince: message<{ readonly seq: number; readonly epoch: string }, EventsResult>('events/since'),
  /**
   * Stops every job that runs (training saves) and resolves when they have ended; the daemon ends at `exit`, or soon without it.
   * What waits goes on under the next daemon.
   */
  shutdown: message<Nothing, Nothing>('shutdown'),
} as const;

export type RequestName = keyof typeof requests;
export type RequestParams<Name extends RequestName> = ParamsOf<(typeof requests)[Name]>;
export type RequestResult<Name extends RequestName> = ResultOf<(typeof requests)[Name]>;

/** From client to daemon. */
export const clientNotifications = {
  initialized: message<Nothing, void>('initialized'),
  exit: message<Nothing, void>('exit'),
} as const;

/** From daemon to clients that asked for events. */
export const serverNotifications = {
  jobChanged: message<JobRecord, void>('job/changed'),
  jobEvent: message<JobEvent, void>('job/event'),
} as const;

export type ServerNotificationName = keyof typeof serverNotifications;

/** Errors of the daemon, beside those of JSON-RPC; the numbers are free for servers by its specification. */
export const RPC_ERROR = { notInitialized: -32002, failed: -32001, requestCanceled: -32800 } as const;

/** The `data` of an error answer: what a user is shown. */
export interface RpcErrorData {
  readonly code: string;
  readonly hint?: string;
  /** Of a recipe. */
  readonly problems?: readonly Problem[];
}
