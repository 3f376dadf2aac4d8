/**
 * Messages between a parent (command line or daemon) and a worker process: one request, then events in one direction and commands in the
 * other.
 */

import type { ExportFormat, ExportType } from '../../catalog/artifacts.ts';
import { isOneOf } from '../../catalog/entries.ts';
import type { TargetName } from '../../catalog/tpus.ts';
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
  /** Number of cores that the processes of a run share; by default, all cores of this machine. */
  readonly cores?: number;
  /** Maximum seconds without a sign of life from a process of a run; by default 30 s. */
  readonly silentSeconds?: number;
  /** Whether a person has typed the command: processes may then open ports, if the recipe says so. */
  readonly opensPorts?: boolean;
  /** The rank of this worker among the processes that train the run together. */
  readonly rank?: RankPlace;
  readonly hub: { readonly endpoint?: string; readonly token?: string; readonly offline: boolean };
  /** Addresses and names of trackers; without them, a tracker that needs an address reports that it is missing. */
  readonly trackers?: TrackerSettings;
}

/** The environment variables that trackers in `report_to` read, under the names of their own libraries. */
export interface TrackerSettings {
  readonly mlflow: {
    readonly uri?: string;
    readonly token?: string;
    readonly user?: string;
    readonly password?: string;
    readonly experiment: string;
  };
  readonly trackio: {
    /** The URL of a server; without one, files in the folder. */
    readonly url?: string;
    readonly token?: string;
    readonly folder: string;
    readonly project: string;
  };
}

/** One of several processes of a run. */
export interface RankPlace {
  /** The rank, from 0. */
  readonly rank: number;
  readonly size: number;
  /** Number of processes of the run on this machine. */
  readonly localSize: number;
  /** The MPI library that connects them; empty if they connect through `addresses`. */
  readonly library: string;
  /** The host and port of each process, in order of rank, for TensorFlow's collectives. */
  readonly addresses?: readonly string[];
}

/** A request to generate text with a model. An `adapter` has the same forms as in `JobRequest`. */
export interface GenerateRequest {
  readonly model: string;
  readonly revision: string;
  readonly adapter?: string;
  readonly prompt: string;
  /** A run whose prompt format is used, also for its base model; takes precedence over `chat` if the format is known. */
  readonly promptOf?: string;
  /** Index, from 0, of a sample of the adapter's data whose answers are scored; nothing is generated, and the prompt is not read. */
  readonly sample?: number | undefined;
  /** A chat, used in place of the prompt. */
  readonly conversation?: Conversation | undefined;
  /** Files of images that belong to the prompt, or to the first message of the conversation. */
  readonly images?: readonly string[] | undefined;
  readonly options: GenerateOptions;
  /** Seconds for which the model stays loaded after the answer, for further requests, unless another job takes the device. */
  readonly keepSeconds?: number | undefined;
}

/** A request to a worker. An `adapter` is a run folder, one of its checkpoints, or an exported adapter (ours or PEFT's). */
export type JobRequest = { readonly context: JobContext } & (
  | ({ readonly kind: 'train'; readonly recipe: Recipe; readonly runDir: string } & PartOfRun)
  | ({ readonly kind: 'resume'; readonly runDir: string; readonly overrides: readonly string[] } & PartOfRun)
  | { readonly kind: 'find-rate'; readonly recipe: Recipe; readonly range: RateRange }
  /** Without a source, the job continues the sweep in the folder. */
  | { readonly kind: 'sweep'; readonly sweepDir: string; readonly source?: RecipeSource; readonly worker?: SweepWorkerRequest }
  | {
      readonly kind: 'importance';
      readonly recipe: Recipe;
      readonly outputFile: string;
      /** Whether to write a report about the stability of the selection, too: `<outputFile>.report.json` and `.report.md`. */
      readonly report?: boolean;
    }
  | {
      readonly kind: 'evaluate';
      readonly recipe: Recipe;
      readonly adapter?: string;
      /** A new file for all answers to held-out prompts; the result contains some of them in any case. */
      readonly answersFile?: string;
    }
  | ({ readonly kind: 'generate' } & GenerateRequest)
  | {
      readonly kind: 'export';
      readonly adapter: string;
      /** The base model, if it is no longer where the adapter found it. */
      readonly base?: string | undefined;
      readonly format: ExportFormat;
      /** One of the format's types; if left out, the type of the base. */
      readonly type?: ExportType | undefined;
      readonly outputDir: string;
      readonly overwrite: boolean;
    }
  /** Reads the properties of a model that a chat needs, and counts the tokens of texts. */
  | { readonly kind: 'chat'; readonly model: string; readonly revision: string; readonly texts: readonly string[] }
  | {
      readonly kind: 'serve';
      readonly models: readonly ServedModelRequest[];
      readonly engine: Recipe['engine'];
      /** The place of the block weights of all models; if left out, as in the runs, on engines that support it. */
      readonly baseOffload?: Recipe['base_offload'] | undefined;
      /** The element type of the weights of all models; if left out, as in the runs, and float32 for others. */
      readonly dtype?: InferenceType | undefined;
      /** The form of the linear layers of all models; if left out, as in the runs, and `none` for others. */
      readonly quantize?: Recipe['quantize'] | undefined;
      readonly host: string;
      /** The port; 0 for a free one. */
      readonly port: number;
      /** The bearer token that requests must have; undefined requires none. */
      readonly token?: string;
      /** Origins of web pages that may send requests. */
      readonly origins: readonly string[];
      /** Maximum length of an answer if a request names none. */
      readonly maxTokens: number;
      /** Number of answers that each model generates at the same time. */
      readonly parallel: number;
    }
  /** Shows samples as the model will see them. */
  | {
      readonly kind: 'data';
      readonly recipe: Recipe;
      readonly part: DataPart;
      /** Index of the first sample, from 0; `count` is the number of samples. */
      readonly from: number;
      readonly count: number;
      /** Whether all samples are read, as in a run. */
      readonly statistics: boolean;
    }
  | { readonly kind: 'verify'; readonly modelDir: string; readonly engine: Recipe['engine'] }
  /** Compiles the training step, and the encoder of images, for a graphics card or a TPU, which need not be present. */
  | {
      readonly kind: 'card';
      readonly recipe: Recipe;
      /** A local path, whose headers are read; or the headers themselves. */
      readonly model: string | ModelHeaders;
      readonly card: TargetName;
      readonly recompute: RecomputeLevel;
      /** True if the samples have images. */
      readonly seesImages: boolean;
    }
  | { readonly kind: 'doctor'; readonly engine: Recipe['engine'] }
);

/** The config of a model, the settings of its processor of images, and the shapes of its tensors by name. */
export interface ModelHeaders {
  readonly config: Readonly<Record<string, unknown>>;
  readonly processor?: Readonly<Record<string, unknown>> | undefined;
  readonly shapes: readonly (readonly [string, readonly number[]])[];
}

/** A recompute level, with 'auto' resolved. */
export type RecomputeLevel = Exclude<Recipe['recompute'], 'auto'>;

export type JobKind = JobRequest['kind'];

export interface ServedModelRequest {
  /** The model name in requests. */
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

/**
 * True if a message has the form of a request. Its fields are not checked: the sender is the parent, which has the same version as the
 * worker.
 */
export const isJobRequest = (message: unknown): message is JobRequest =>
  isRecord(message) && isOneOf(JOB_KINDS, message.kind) && isRecord(message.context) && typeof message.context.cacheDir === 'string';

/** True if a job computes on the device; only one such job runs at a time. */
export const takesDevice = (kind: JobKind): boolean => kind !== 'doctor' && kind !== 'data' && kind !== 'chat';

/** True for jobs that train, which save before they stop. */
export const isTrainingKind = (kind: JobKind): boolean => kind === 'train' || kind === 'resume' || kind === 'sweep';

/** The learning rates of a range test. */
export interface RateRange {
  readonly min: number;
  readonly max: number;
  readonly steps: number;
}

/** One of several workers of a sweep that share its folder. */
export interface SweepWorkerRequest {
  /** A name from outside, such as the number of its Slurm job. */
  readonly label?: string;
  /** The worker's log. */
  readonly log?: string;
}

export interface PartOfRun {
  /** The run stops and saves after this many evaluations in total, unless it ends earlier. */
  readonly pauseAfter?: number;
}

/** A recipe as text, so that the parser can report positions; an unsaved buffer works too. */
export interface RecipeSource {
  readonly text: string;
  readonly fileName: string;
  /** An absolute path; the base of relative paths in the recipe. */
  readonly baseDir: string;
  readonly overrides?: readonly string[];
}

/** A chat up to the message to be answered. */
export interface Conversation {
  readonly messages: readonly ConversationMessage[];
  /** Descriptions of functions, as JSON schemas in OpenAI's form. */
  readonly tools?: readonly unknown[] | undefined;
}

/** A message; it may have other fields that a chat template reads, such as `tool_calls`. */
export interface ConversationMessage {
  readonly role: string;
  readonly content?: unknown;
  readonly [field: string]: unknown;
}

/** The places for the weights of a base, with their names in recipes. */
export const basePlaces = ['none', 'host'] as const satisfies readonly Recipe['base_offload'][];

/** The element types in which a job that trains nothing can hold weights, with their names in recipes. */
export const inferenceTypes = ['float32', 'bfloat16'] as const satisfies readonly Recipe['dtype'][];
export type InferenceType = (typeof inferenceTypes)[number];

/** The forms of the linear layers of a base, with their names in recipes. */
export const baseForms = ['none', 'int8', 'nf4'] as const satisfies readonly Recipe['quantize'][];

export interface GenerateOptions {
  /** The engine; `auto` means that of the run, if its base is in host memory. */
  readonly engine: Recipe['engine'];
  /** The place of the block weights; if left out, as in the run, on engines that support it. */
  readonly baseOffload?: Recipe['base_offload'] | undefined;
  /** The element type of the weights; if left out, as in the run, and float32 for others. */
  readonly dtype?: InferenceType | undefined;
  /** The form of the linear layers; if left out, as in the run, and `none` for others. */
  readonly quantize?: Recipe['quantize'] | undefined;
  /** Whether to wrap the prompt as a user turn with the model's chat template, if there is one. */
  readonly chat: boolean;
  readonly maxNewTokens: number;
  /** Sampling temperature; 0 decodes greedily. */
  readonly temperature: number;
  readonly topP: number;
  /** Number of most likely tokens to sample from; 0 keeps every token. */
  readonly topK: number;
  readonly seed: number;
}

export type LogLevel = 'debug' | 'info' | 'warning' | 'error';

export type WorkerEvent =
  /** Start of a new stage; `name` is stable ('load', 'importance', 'train'), `message` is for people. */
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
  /** A piece of generated text; `reasoning` if it comes before the answer. */
  | { readonly type: 'text'; readonly chunk: string; readonly part?: 'reasoning' }
  /** Samples as the model will see them. */
  | { readonly type: 'samples'; readonly page: SamplePage }
  /** Statistics of drawn samples, sent while all samples are still being read. */
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
/** The reason of such a run after its sweep has finished. */
export const ENDED_BY_SWEEP = 'stopped early by its sweep';

/** The seconds for which a job's process waits for another job like it; 0 if the process ends with the job. */
export const keptSeconds = (request: JobRequest): number => (request.kind === 'generate' ? (request.keepSeconds ?? 0) : 0);
