/** What a parent (command line or daemon) and a worker process say to each other. One request, then events one way and commands the other. */
import type { ExportFormat } from '../catalog/artifacts.ts';
import type { Recipe } from './recipe-schema.ts';

/** Where a job finds things; paths are absolute. */
export interface JobContext {
  /** Engines, models and their caches. */
  readonly cacheDir: string;
  /** The folder that relative paths of a recipe start from. */
  readonly baseDir: string;
  /** The value of ROWTUNE_ENGINE, where it is set. */
  readonly engineFromEnvironment?: string;
  /** Variables of the environment that would have had an effect and that the worker did not inherit; see engine/inherited-environment.ts. */
  readonly clearedVariables?: readonly string[];
  readonly hub: { readonly endpoint?: string; readonly token?: string; readonly offline: boolean };
}

/** What a worker is started for. An `adapter` is a run folder, one of its checkpoints, or an exported adapter (ours or PEFT's). */
export type JobRequest = { readonly context: JobContext } & (
  | { readonly kind: 'train'; readonly recipe: Recipe; readonly runDir: string }
  | { readonly kind: 'resume'; readonly runDir: string; readonly overrides: readonly string[] }
  | {
      readonly kind: 'importance';
      readonly recipe: Recipe;
      readonly outputFile: string;
      /** Also how stable the choice of rows is: `<outputFile>.report.json` and `.report.md`. */
      readonly report?: boolean;
    }
  | { readonly kind: 'evaluate'; readonly recipe: Recipe; readonly adapter?: string }
  | {
      readonly kind: 'generate';
      readonly model: string;
      readonly revision: string;
      readonly adapter?: string;
      readonly prompt: string;
      /** A run whose way of writing prompts is taken, for its base model too; goes before `chat` where it is known. */
      readonly promptOf?: string;
      readonly options: GenerateOptions;
    }
  | {
      readonly kind: 'export';
      readonly adapter: string;
      readonly format: ExportFormat;
      readonly outputDir: string;
      readonly overwrite: boolean;
    }
  | { readonly kind: 'verify'; readonly modelDir: string; readonly engine: Recipe['engine'] }
  | { readonly kind: 'doctor'; readonly engine: Recipe['engine'] }
);

export type JobKind = JobRequest['kind'];

export interface GenerateOptions {
  readonly engine: Recipe['engine'];
  /** Wraps the prompt as a user's turn by the model's chat template, where it has one. */
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
  /** A new stage begins; `name` is stable ('load', 'importance', 'train'), `message` is for people. */
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
  /** Numbers of one update, by Hugging Face's names ('loss', 'learning_rate', 'grad_norm', 'eval_loss'). */
  | { readonly type: 'metrics'; readonly step: number; readonly values: Readonly<Record<string, number>> }
  | { readonly type: 'log'; readonly level: LogLevel; readonly message: string }
  /** A piece of generated text. */
  | { readonly type: 'text'; readonly chunk: string }
  /** The last event of a job that succeeded. */
  | { readonly type: 'result'; readonly value: unknown }
  /** The last event of a job that failed; `hint` says what to do. */
  | { readonly type: 'failed'; readonly code: string; readonly message: string; readonly hint?: string };

/** Ends the job after the update in hand; with `save` a checkpoint is written first. */
export type WorkerCommand = { readonly type: 'stop'; readonly save: boolean };

/** The reason of a job that was stopped or aborted on request; it stands in the state of its run. */
export const STOPPED_BY_USER = 'stopped by the user';
