/**
 * Messages between a parent (command line or daemon) and a worker process. One request, then events in one direction
 * and commands in the other.
 */

import type { ExportFormat, ExportType } from '../../catalog/artifacts.ts';
import type { CardName } from '../../catalog/cards.ts';
import { isOneOf } from '../../catalog/entries.ts';
import { isRecord } from '../../narrow.ts';
import type { Recipe } from '../recipe/recipe-schema.ts';
import type { DataPart, DataStatistics, SamplePage } from '../view/data.ts';

/** The locations that a job uses; absolute paths. */
export interface JobContext {
  /** The folder of engines, models and their caches. */
  readonly cacheDir: string;
  /** The base of relative paths in a recipe. */
  readonly baseDir: string;
  /** The value of ROWTUNE_ENGINE, if set. */
  readonly engineFromEnvironment?: string;
  /**
   * Environment variables that would have had an effect and that the worker did not inherit; see
   * engine/inherited-environment.ts.
   */
  readonly clearedVariables?: readonly string[];
  /** The cores that the processes of a run share; by default all of this machine. */
  readonly cores?: number;
  /** How long a process of a run may give no sign of life; by default 30 s. */
  readonly silentSeconds?: number;
  /** A person has typed the command: processes may open ports, if the recipe says so. */
  readonly opensPorts?: boolean;
  /** The place of this worker among the processes that train the run together. */
  readonly rank?: RankPlace;
  readonly hub: { readonly endpoint?: string; readonly token?: string; readonly offline: boolean };
  /** Addresses and names of trackers; without them, those that need an address report that it is missing. */
  readonly trackers?: TrackerSettings;
}

/** The parts of the environment that trackers of `report_to` read, by the names of their own libraries. */
export interface TrackerSettings {
  readonly mlflow: {
    readonly uri?: string;
    readonly token?: string;
    readonly user?: string;
    readonly password?: string;
    readonly experiment: string;
  };
  readonly trackio: {
    /** A server; without one, files in the folder. */
    readonly url?: string;
    readonly token?: string;
    readonly folder: string;
    readonly project: string;
  };
}

/** One of several processes of a run. */
export interface RankPlace {
  /** From 0. */
  readonly rank: number;
  readonly size: number;
  /** Processes of the run on this machine. */
  readonly localSize: number;
  /** The MPI library that connects them; empty if `addresses` do. */
  readonly library: string;
  /** The host and port of every process, in their order: TensorFlow's collectives connect them. */
  readonly addresses?: readonly string[];
}

/** A text to be written, and the model that writes it. An `adapter` has the forms of `JobRequest`. */
export interface GenerateRequest {
  readonly model: string;
  readonly revision: string;
  readonly adapter?: string;
  readonly prompt: string;
  /** A run whose prompt format is used, for its base model too; takes precedence over `chat` if the format is known. */
  readonly promptOf?: string;
  /** From 0: a sample of the adapter's data whose answers are scored; nothing is written, and the prompt is not read. */
  readonly sample?: number | undefined;
  /** A chat, which takes the place of the prompt. */
  readonly conversation?: Conversation | undefined;
  readonly options: GenerateOptions;
  /** The model stays loaded for so long after the answer, for further requests, unless another job takes the device. */
  readonly keepSeconds?: number | undefined;
}

/**
 * The request of a worker. An `adapter` is a run folder, one of its checkpoints, or an exported adapter (ours or
 * PEFT's).
 */
export type JobRequest = { readonly context: JobContext } & (
  | ({ readonly kind: 'train'; readonly recipe: Recipe; readonly runDir: string } & PartOfRun)
  | ({ readonly kind: 'resume'; readonly runDir: string; readonly overrides: readonly string[] } & PartOfRun)
  | { readonly kind: 'find-rate'; readonly recipe: Recipe; readonly range: RateRange }
  /** Without a source, it continues the sweep in the folder. */
  | { readonly kind: 'sweep'; readonly sweepDir: string; readonly source?: RecipeSource; readonly worker?: SweepWorkerRequest }
  | {
      readonly kind: 'importance';
      readonly recipe: Recipe;
      readonly outputFile: string;
      /** Also writes a report about the stability of the selection: `<outputFile>.report.json` and `.report.md`. */
      readonly report?: boolean;
    }
  | {
      readonly kind: 'evaluate';
      readonly recipe: Recipe;
      readonly adapter?: string;
      /** A new file for all answers to held-out prompts; the result has some of them in any case. */
      readonly answersFile?: string;
    }
  | ({ readonly kind: 'generate' } & GenerateRequest)
  | {
      readonly kind: 'export';
      readonly adapter: string;
      /** The base model, where it is not where the adapter found it. */
      readonly base?: string | undefined;
      readonly format: ExportFormat;
      /** One of the format's types; as the base where not given. */
      readonly type?: ExportType | undefined;
      readonly outputDir: string;
      readonly overwrite: boolean;
    }
  /** Reads what a chat needs to know about a model, and counts the tokens of texts. */
  | { readonly kind: 'chat'; readonly model: string; readonly revision: string; readonly texts: readonly string[] }
  | {
      readonly kind: 'serve';
      readonly models: readonly ServedModelRequest[];
      readonly engine: Recipe['engine'];
      /** The place of the weights of the blocks of all models; as in the runs if left out, on an engine that can. */
      readonly baseOffload?: Recipe['base_offload'] | undefined;
      readonly host: string;
      /** 0 for a free port. */
      readonly port: number;
      /** The bearer token of requests; undefined asks for none. */
      readonly token?: string;
      /** Origins of web pages that may ask. */
      readonly origins: readonly string[];
      /** The longest answer of a request that names no length. */
      readonly maxTokens: number;
      /** Answers that each model writes at the same time. */
      readonly parallel: number;
    }
  /** Shows samples as the model will see them. */
  | {
      readonly kind: 'data';
      readonly recipe: Recipe;
      readonly part: DataPart;
      /** The first sample, from 0, and how many. */
      readonly from: number;
      readonly count: number;
      /** Whether all samples are read, as a run does. */
      readonly statistics: boolean;
    }
  | { readonly kind: 'verify'; readonly modelDir: string; readonly engine: Recipe['engine'] }
  /** Compiles the training step for cards that need not be there. */
  | {
      readonly kind: 'card';
      readonly recipe: Recipe;
      /** A local path, whose headers are read; or the headers, the tensors as a list. */
      readonly model: string | ModelHeaders;
      readonly card: CardName;
      readonly recompute: RecomputeLevel;
    }
  | { readonly kind: 'doctor'; readonly engine: Recipe['engine'] }
);

/** The config of a model, and the shapes of its tensors by name. */
export interface ModelHeaders {
  readonly config: Readonly<Record<string, unknown>>;
  readonly shapes: readonly (readonly [string, readonly number[]])[];
}

/** A level of recomputation that is settled. */
export type RecomputeLevel = Exclude<Recipe['recompute'], 'auto'>;

export type JobKind = JobRequest['kind'];

export interface ServedModelRequest {
  /** The name in requests. */
  readonly name: string;
  readonly model: string;
  readonly revision: string;
  readonly adapter?: string;
}

export const JOB_KINDS = [
  'train',
  'resume',
  'sweep',
  'find-rate',
  'importance',
  'evaluate',
  'generate',
  'export',
  'verify',
  'serve',
  'chat',
  'data',
  'card',
  'doctor',
] as const satisfies readonly JobKind[];

/** Returns whether a message has the form of a request: its sender is the parent, whose version is the worker's own. */
export const isJobRequest = (message: unknown): message is JobRequest =>
  isRecord(message) && isOneOf(JOB_KINDS, message.kind) && isRecord(message.context) && typeof message.context.cacheDir === 'string';

/** Whether a job computes on the device; only one of those runs at a time. */
export const takesDevice = (kind: JobKind): boolean => kind !== 'doctor' && kind !== 'data' && kind !== 'chat';

/** A job that trains saves before it stops. */
export const isTrainingKind = (kind: JobKind): boolean => kind === 'train' || kind === 'resume' || kind === 'sweep';

/** The learning rates of a range test. */
export interface RateRange {
  readonly min: number;
  readonly max: number;
  readonly steps: number;
}

/** One of several workers of a sweep that share its folder. */
export interface SweepWorkerRequest {
  /** The name that others gave it, such as the number of its job. */
  readonly label?: string;
  /** Its log. */
  readonly log?: string;
}

export interface PartOfRun {
  /** The run stops and saves after this many evaluations in total, unless it has ended by then. */
  readonly pauseAfter?: number;
}

/** A recipe as text, so that the parser can report positions; a buffer need not be saved. */
export interface RecipeSource {
  readonly text: string;
  readonly fileName: string;
  /** Absolute; the base of relative paths in the recipe. */
  readonly baseDir: string;
  readonly overrides?: readonly string[];
}

/** A chat up to the message that is to be answered. */
export interface Conversation {
  readonly messages: readonly ConversationMessage[];
  /** Descriptions of functions, as JSON schemas in OpenAI's form. */
  readonly tools?: readonly unknown[] | undefined;
}

/** Also has the other fields that a chat template reads, such as `tool_calls`. */
export interface ConversationMessage {
  readonly role: string;
  readonly content?: unknown;
  readonly [field: string]: unknown;
}

/** The places of the weights of a base, as recipes name them. */
export const basePlaces = ['none', 'host'] as const satisfies readonly Recipe['base_offload'][];

export interface GenerateOptions {
  /** `auto`: that of the run, if its base lies in the memory of the host. */
  readonly engine: Recipe['engine'];
  /** The place of the weights of the blocks; as in the run if left out, on an engine that can. */
  readonly baseOffload?: Recipe['base_offload'] | undefined;
  /** Wraps the prompt as a user turn with the model's chat template, if there is one. */
  readonly chat: boolean;
  readonly maxNewTokens: number;
  /** 0 decodes greedily. */
  readonly temperature: number;
  readonly topP: number;
  /** 0 keeps every token. */
  readonly topK: number;
  readonly seed: number;
}

export type LogLevel = 'debug' | 'info' | 'warning' | 'error';

export type WorkerEvent =
  /** A new stage starts; `name` is stable ('load', 'importance', 'train'), `message` is for people. */
  | { readonly type: 'phase'; readonly name: string; readonly message: string }
  | {
      readonly type: 'progress';
      readonly phase: string;
      readonly done: number;
      readonly total: number;
      readonly unit: string;
      readonly ratePerSecond?: number;
      readonly secondsLeft?: number;
      readonly message?: string;
    }
  /** Metrics of one update, named as in Hugging Face ('loss', 'learning_rate', 'grad_norm', 'eval_loss'). */
  | { readonly type: 'metrics'; readonly step: number; readonly values: Readonly<Record<string, number>> }
  | { readonly type: 'log'; readonly level: LogLevel; readonly message: string }
  /** A piece of generated text; `reasoning` if it stands before the answer. */
  | { readonly type: 'text'; readonly chunk: string; readonly part?: 'reasoning' }
  /** Samples as the model will see them. */
  | { readonly type: 'samples'; readonly page: SamplePage }
  /** Facts about samples that were drawn, while all are being read. */
  | { readonly type: 'statistics'; readonly statistics: DataStatistics }
  /** A server accepts requests on this port. */
  | { readonly type: 'serving'; readonly port: number }
  /** The last event of a successful job. */
  | { readonly type: 'result'; readonly value: unknown }
  /** The last event of a failed job; `hint` says how to fix it. */
  | { readonly type: 'failed'; readonly code: string; readonly message: string; readonly hint?: string };

/** Ends the job after the current update; with `save`, writes a checkpoint first. */
export type WorkerCommand = { readonly type: 'stop'; readonly save: boolean };

/** The reason recorded in the state of a run that was stopped or aborted on request. */
export const STOPPED_BY_USER = 'stopped at your request';
/** The reason of a run that a sweep may continue later. */
export const PAUSED_BY_SWEEP = 'paused by its sweep';

/** The seconds for which the process of a job waits for another one like it; 0 if it ends with the job. */
export const keptSeconds = (request: JobRequest): number => (request.kind === 'generate' ? (request.keepSeconds ?? 0) : 0);
