/** What a parent (command line or daemon) and a worker process say to each other. One request, then events one way and commands the other. */
import type { Recipe } from './recipe-schema.ts';

/** What a worker is started for; paths are absolute. */
export type JobRequest =
  | {
      readonly kind: 'train';
      readonly recipe: Recipe;
      readonly runDir: string /** The folder that relative paths of the recipe start from. */;
      readonly baseDir: string;
    }
  | { readonly kind: 'resume'; readonly runDir: string; readonly overrides: readonly string[] }
  | { readonly kind: 'importance'; readonly recipe: Recipe; readonly baseDir: string; readonly outputFile: string }
  | { readonly kind: 'evaluate'; readonly recipe: Recipe; readonly baseDir: string; readonly adapterDir?: string }
  | {
      readonly kind: 'generate';
      readonly model: string;
      readonly adapterDir?: string;
      readonly prompt: string;
      readonly options: GenerateOptions;
    }
  | { readonly kind: 'export'; readonly runDir: string; readonly format: ExportFormat; readonly outputDir: string }
  | { readonly kind: 'verify'; readonly modelDir: string; readonly engine: Recipe['engine'] }
  | { readonly kind: 'doctor'; readonly engine: Recipe['engine'] };

export type JobKind = JobRequest['kind'];
export type ExportFormat = 'adapter' | 'merged' | 'peft';

export interface GenerateOptions {
  readonly engine: Recipe['engine'];
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
