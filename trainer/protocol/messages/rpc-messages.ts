/** Messages between clients (command line, editor) and the daemon. Each is defined once, as a value that carries its types. */
import type { ExportFormat, ExportType } from '../../catalog/artifacts.ts';
import type { ObjectiveName } from '../../catalog/objectives.ts';
import type { Problem } from '../problem.ts';
import type { NewRecipeAnswer, NewRecipeParams } from '../recipe/recipe-text.ts';
import type { ClusterPlace, ClusterProfile, ClusterSubmission, SubmitParams } from '../run/cluster.ts';
import type { DeviceShare } from '../run/device-share.ts';
import type { SweepStatus } from '../run/sweep.ts';
import type { DataFileInfo, DataPart } from '../view/data.ts';
import type { GenerateOptions, GenerateRequest, JobKind, RecipeSource, WorkerEvent } from './job-messages.ts';
import type { ModelInfo } from './model-info.ts';
import type { ReadScoresParams, ScoresPage } from './score-pages.ts';

export type { RecipeSource } from './job-messages.ts';
export type { ModelInfo } from './model-info.ts';

/** A client of another version gets an error; `capabilities` lists the methods that both support. */
export const PROTOCOL_VERSION = 1;

/** Maximum size of a message in either direction: far above a page of log or metrics, and enough for a long prompt with its images. */
export const MAX_FRAME_BYTES = 32 * 2 ** 20;

/** The subprotocol of the socket; a client that can't set headers sends `token.<token>` in addition. */
export const SUBPROTOCOL = 'rowtune.1';
export const TOKEN_PROTOCOL = 'token.';

/** A message. Its types are in `types`, which has no runtime value. */
export interface Message<Params, Result> {
  readonly method: string;
  readonly types?: (params: Params) => Result;
}

const message = <Params, Result>(method: string): Message<Params, Result> => ({ method });

export type ParamsOf<M> = M extends Message<infer Params, infer _> ? Params : never;
export type ResultOf<M> = M extends Message<infer _, infer Result> ? Result : never;

/** The parameters of a message that has none: an empty object. */
export type Nothing = Readonly<Record<string, never>>;

export interface InitializeParams {
  readonly protocol: number;
  readonly client: { readonly name: string; readonly version: string };
  /** `events`: subscribes to `job/event` and `job/changed`. */
  readonly capabilities: { readonly events: boolean };
}

export interface InitializeResult {
  readonly protocol: number;
  readonly version: string;
  readonly pid: number;
  readonly startedAt: string;
  /** The methods that this daemon supports. */
  readonly capabilities: { readonly requests: readonly string[] };
  /** The number of the newest event. */
  readonly seq: number;
}

export type JobState = 'queued' | 'running' | 'stopping' | 'succeeded' | 'stopped' | 'aborted' | 'failed';

export interface JobFailure {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
  /** True if the job reported the failure itself, so that the hint says whether it can be resumed. */
  readonly isReported?: boolean;
}

export interface JobRecord {
  /** Chosen by the client; a second start with the same id returns this record and starts nothing. */
  readonly id: string;
  readonly kind: JobKind;
  readonly state: JobState;
  /** Higher values go first; equal ones run in order of arrival. */
  readonly priority: number;
  /** The subject of the job, for people: a run's name, a model. */
  readonly title: string;
  readonly runDir?: string;
  readonly pid?: number;
  /** The part of the machine that the job has, or had. */
  readonly share?: DeviceShare | undefined;
  readonly createdAt: string;
  readonly startedAt?: string;
  readonly endedAt?: string;
  readonly phase?: string;
  readonly progress?: Extract<WorkerEvent, { type: 'progress' }>;
  readonly metrics?: { readonly step: number; readonly values: Readonly<Record<string, number>> };
  /** The reason for a failure. */
  readonly failure?: JobFailure;
  /** The run can continue from a checkpoint: start `resume` with this folder. */
  readonly resume?: { readonly runDir: string };
  readonly result?: unknown;
}

export interface StartOptions {
  /** Unique; makes the start idempotent. */
  readonly id: string;
  /** The priority; default 0. */
  readonly priority?: number;
}

export interface RunInfo {
  readonly runDir: string;
  /** The folder of the sweep that the run belongs to. */
  readonly sweepDir?: string;
  readonly name: string;
  /** The method in the recipe; missing in runs of older versions. */
  readonly method?: string;
  /** The part of each weight that is trained, for the label of the method; missing in runs of older versions. */
  readonly trains?: string | undefined;
  readonly task?: string;
  /** `queued` runs wait for a cluster or for other jobs of the daemon, and have no folder yet. */
  readonly state: 'queued' | 'preparing' | 'running' | 'stopped' | 'finished' | 'failed' | 'interrupted';
  readonly reason?: string;
  readonly step: number;
  readonly totalSteps: number;
  readonly epoch?: number;
  /** The training loss in the newest line of metrics. */
  readonly loss?: number;
  /** The newest values by their names in metrics.jsonl: loss, eval_loss, eval_accuracy …; missing in runs of older versions. */
  readonly metrics?: Readonly<Record<string, number>>;
  /** The tags that people gave the run; `name` may be given by people, too. */
  readonly tags?: readonly string[] | undefined;
  readonly note?: string | undefined;
  readonly pinned?: boolean | undefined;
  readonly archived?: boolean | undefined;
  readonly startedAt: string;
  readonly updatedAt: string;
  readonly ageSeconds: number;
  /** Its place on a cluster, if it was submitted to one. */
  readonly cluster?: ClusterPlace | undefined;
  /** Whether there is a checkpoint to continue from. Missing from daemons of older versions. */
  readonly resumable?: boolean;
}

/** Changes to people's notes about a run. Fields that are left out do not change. An empty text or false removes the old value. */
export interface RunNotesChange {
  readonly name?: string | undefined;
  readonly addTags?: readonly string[] | undefined;
  readonly removeTags?: readonly string[] | undefined;
  readonly note?: string | undefined;
  readonly pinned?: boolean | undefined;
  readonly archived?: boolean | undefined;
}

export interface RunList {
  /** The runs: pinned ones first, each group from newest to oldest. */
  readonly runs: readonly RunInfo[];
  /** Whether the folders were too large to search completely, so that there may be more runs. */
  readonly truncated: boolean;
  /** Folders that do not exist on the daemon's machine; missing from older daemons. */
  readonly missing?: readonly string[];
}

/** A run that a chat can talk to. */
export interface ChatModel extends ChatFacts {
  readonly runDir: string;
  readonly name: string;
  readonly method?: string | undefined;
  readonly trains?: string | undefined;
  /** The base model: a path, or a name on the hub. */
  readonly model: string;
  readonly revision: string;
  readonly updatedAt: string;
}

/** The properties of a base model that a chat needs. */
export interface ChatFacts {
  readonly family: string;
  /** Maximum number of tokens of a conversation together with its answer. */
  readonly positions: number;
  /** Whether the chat template shows tools to the model and calls can be read from an answer. */
  readonly callsTools: boolean;
  /** Whether messages may have images. */
  readonly readsImages: boolean;
}

export interface ModelList {
  readonly models: readonly ModelInfo[];
  /** As in `RunList`. */
  readonly truncated: boolean;
}

export interface EngineStatus {
  readonly machine: {
    readonly cpu: { readonly model: string; readonly cores: number; readonly features: readonly string[] };
    readonly memory: { readonly totalBytes: number; readonly availableBytes: number };
  };
  /** The first NVIDIA GPU; only the portable engine supports others. */
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

/** Reads lines from `from`, at most one page; repeat with `next` until it no longer changes. */
export interface TailParams {
  readonly runDir: string;
  readonly file: TailedFile;
  /** Index of the first line, from 0; an incomplete line does not count. */
  readonly from: number;
  /** The version from the previous page. Without it, only a file that became shorter is detected as replaced. */
  readonly version?: string;
}

/** The files of a run that can be read line by line; the first three grow. */
export const TAILED_FILES = ['metrics', 'log', 'answers', 'recipe', 'coverage', 'memory', 'evaluation', 'summary', 'byRank'] as const;
export type TailedFile = (typeof TAILED_FILES)[number];

export interface TailResult {
  readonly lines: readonly string[];
  readonly next: number;
  /**
   * Whether the file has fewer lines than `from`, or was replaced because the run continued from an earlier checkpoint. If so, read it
   * again from 0.
   */
  readonly rewound: boolean;
  /** Whether more lines are available. */
  readonly more: boolean;
  /** Identifies the file while lines are only appended; empty if there is no file. */
  readonly version: string;
}

export interface JobEvent {
  readonly seq: number;
  readonly jobId: string;
  readonly event: WorkerEvent | { readonly type: 'state'; readonly state: JobState };
}

export interface EventsResult {
  readonly events: readonly JobEvent[];
  /** False if older events were dropped: read `jobs/list` and the files of the runs instead. */
  readonly complete: boolean;
  /** Identifies the sequence of events; if it differs from that of `seq`, start over. */
  readonly epoch: string;
}

/** All requests. The compiler checks the daemon's handlers against this table. */
export const requests = {
  initialize: message<InitializeParams, InitializeResult>('initialize'),
  daemonStatus: message<Nothing, DaemonStatus>('daemon/status'),
  engineStatus: message<Nothing, EngineStatus>('engine/status'),
  listModels: message<{ readonly folders: readonly string[] }, ModelList>('models/list'),
  /** The tasks that a model on the daemon's machine can be tuned for, the suggested one first. */
  modelTasks: message<{ readonly model: string }, { readonly tasks: readonly ObjectiveName[] }>('models/tasks'),
  /** Whether a model on the daemon's machine, given as in a recipe, reads images of a prompt. */
  readsImages: message<{ readonly model: string; readonly revision: string; readonly baseDir: string }, { readonly readsImages: boolean }>(
    'models/readsImages',
  ),
  describeData: message<{ readonly files: readonly string[] }, { readonly files: readonly DataFileInfo[] }>('data/describe'),
  /** The answers for a new recipe that follow from its model and data on the daemon's machine. */
  newRecipe: message<NewRecipeParams, NewRecipeAnswer>('recipes/new'),
  /** The newest runs whose models generate text and whose base models are on the daemon's machine. */
  listChatModels: message<{ readonly folders: readonly string[] }, { readonly models: readonly ChatModel[] }>('chat/models'),
  /** The number of tokens of each text with the tokenizer of the run's model. */
  countTokens: message<{ readonly runDir: string; readonly texts: readonly string[] }, { readonly tokens: readonly number[] }>(
    'chat/count',
  ),
  listRuns: message<{ readonly folders: readonly string[] }, RunList>('runs/list'),
  tailRun: message<TailParams, TailResult>('runs/tail'),
  readScores: message<ReadScoresParams, ScoresPage>('scores/read'),
  deleteRun: message<{ readonly runDir: string }, Nothing>('runs/delete'),
  /** The profiles for a recipe in this folder, starting with the one that applies if none is named; or the profile in a file. */
  clusterProfiles: message<{ readonly folder: string; readonly file?: string }, { readonly profiles: readonly ClusterProfile[] }>(
    'cluster/profiles',
  ),
  /** Submits a new run or sweep of a recipe to a cluster, or the rest of the one in `folder`; repeating an id submits nothing. */
  submitToCluster: message<SubmitParams, ClusterSubmission>('cluster/submit'),
  /** Ends a run or sweep on a cluster, after saving it if `save` is set; one that waits is removed from the queue. */
  stopOnCluster: message<{ readonly runDir: string; readonly save: boolean }, Nothing>('runs/stopOnCluster'),
  /** Writes people's notes about a run. */
  noteRun: message<{ readonly runDir: string; readonly change: RunNotesChange }, Nothing>('runs/note'),
  /** Returns the trainer's own estimate. */
  estimate: message<{ readonly recipe: RecipeSource }, unknown>('estimate'),
  train: message<StartOptions & { readonly recipe: RecipeSource; readonly runDir?: string }, JobRecord>('jobs/train'),
  resume: message<StartOptions & { readonly runDir: string; readonly overrides?: readonly string[] }, JobRecord>('jobs/resume'),
  /** Starts the sweep of a recipe, or continues the one in `sweepDir`. */
  sweep: message<StartOptions & { readonly recipe?: RecipeSource; readonly sweepDir?: string }, JobRecord>('jobs/sweep'),
  /** The status of a sweep; null if the folder is not that of a sweep. */
  readSweep: message<{ readonly sweepDir: string }, SweepStatus | null>('sweeps/read'),
  /** Computes scores; with `report`, also writes the stability report next to them. */
  importance: message<StartOptions & { readonly recipe: RecipeSource; readonly outputFile: string; readonly report?: boolean }, JobRecord>(
    'jobs/importance',
  ),
  evaluate: message<StartOptions & { readonly recipe: RecipeSource; readonly adapter?: string }, JobRecord>('jobs/evaluate'),
  generate: message<StartOptions & GenerateRequest & { readonly baseDir: string }, JobRecord>('jobs/generate'),
  /** Shows samples of a recipe as the model will see them; does not wait for trainings. */
  previewData: message<
    StartOptions & {
      readonly recipe: RecipeSource;
      readonly part: DataPart;
      readonly from: number;
      readonly count: number;
      readonly statistics: boolean;
    },
    JobRecord
  >('jobs/data'),
  exportRun: message<
    StartOptions & {
      readonly adapter: string;
      readonly format: ExportFormat;
      /** One of the format's types; if left out, the type of the base. */
      readonly type?: ExportType | undefined;
      readonly outputDir: string;
      readonly overwrite: boolean;
    },
    JobRecord
  >('jobs/export'),
  verify: message<StartOptions & { readonly modelDir: string; readonly engine: GenerateOptions['engine'] }, JobRecord>('jobs/verify'),
  doctor: message<StartOptions & { readonly engine: GenerateOptions['engine'] }, JobRecord>('jobs/doctor'),
  listJobs: message<Nothing, readonly JobRecord[]>('jobs/list'),
  /**
   * Resolves when the job has ended. With `progressToken`, its further events arrive as `$/progress`. Canceling the request ends only the
   * wait, or, with `abortOnCancel`, the job.
   */
  waitForJob: message<{ readonly id: string; readonly progressToken?: string; readonly abortOnCancel?: boolean }, JobRecord>('jobs/wait'),
  /** Removes a queued job, or ends a running one; a training saves first. */
  stopJob: message<{ readonly id: string }, JobRecord>('jobs/stop'),
  /** Ends a job without saving. */
  abortJob: message<{ readonly id: string }, JobRecord>('jobs/abort'),
  prioritizeJob: message<{ readonly id: string; readonly priority: number }, JobRecord>('jobs/prioritize'),
  eventsSince: message<{ readonly seq: number; readonly epoch: string }, EventsResult>('events/since'),
  /**
   * Stops all running jobs (trainings save) and resolves when they have ended. The daemon ends at `exit`, or shortly afterwards without it.
   * Queued jobs continue under the next daemon.
   */
  shutdown: message<Nothing, Nothing>('shutdown'),
} as const;

export type RequestName = keyof typeof requests;
export type RequestParams<Name extends RequestName> = ParamsOf<(typeof requests)[Name]>;
export type RequestResult<Name extends RequestName> = ResultOf<(typeof requests)[Name]>;

/** Notifications from clients to the daemon. */
export const clientNotifications = {
  initialized: message<Nothing, void>('initialized'),
  exit: message<Nothing, void>('exit'),
} as const;

/** Notifications from the daemon to clients that subscribed to events. */
export const serverNotifications = {
  jobChanged: message<JobRecord, void>('job/changed'),
  jobEvent: message<JobEvent, void>('job/event'),
} as const;

export type ServerNotificationName = keyof typeof serverNotifications;

/** Error codes of the daemon in addition to those of JSON-RPC, whose specification reserves these numbers for servers. */
export const RPC_ERROR = { notInitialized: -32002, failed: -32001, requestCanceled: -32800 } as const;

/** The `data` of an error response: texts for the user. */
export interface RpcErrorData {
  readonly code: string;
  readonly hint?: string;
  /** The problems of a recipe. */
  readonly problems?: readonly Problem[];
}
