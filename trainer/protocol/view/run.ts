/** Messages between the run page and its host. The Compare page gets the same patches, one stream per run. */
import type { JobRecord, RunInfo } from '../messages/rpc-messages.ts';

/** Maximum number of lines in a patch of metrics or log, so that a page of 100,000 points is drawn while the rest arrives. */
export const PATCH_LINES = 5000;

/** Number of newest log lines that a page keeps and a host sends at the start. The whole log is a file. */
export const KEPT_LOG_LINES = 20_000;

/** The parts of the daemon's job that a page shows. */
export type ShownJob = Pick<JobRecord, 'id' | 'state' | 'phase' | 'progress' | 'failure' | 'share'>;

/** The status of a run: from its folder, and from its newest job if the daemon knows one. */
export interface RunOverview extends RunInfo {
  readonly job?: ShownJob;
  /** Whether the run has updates left and no process works on it. */
  readonly resumable: boolean;
}

/** A setting of the run, by its dotted path, formatted as in a recipe. */
export interface RecipeEntry {
  readonly key: string;
  readonly value: string;
  readonly isDefault: boolean;
  /** The documentation, one sentence from the schema. */
  readonly doc: string;
}

/** The content of coverage.json; `module` is a dotted name that includes the number of its block. */
export interface CoverageView {
  readonly method: string;
  readonly trainable: number;
  readonly parameters: number;
  /** The share of trainable parameters: trainable / parameters. */
  readonly share: number;
  readonly modules: readonly {
    readonly module: string;
    readonly rows: number;
    /** Number of trained rows; 0 if the method does not train rows (LoRA). */
    readonly trainedRows: number;
    /** Present if the rows are columns: the inputs of the layer. */
    readonly unit?: 'columns' | undefined;
    readonly parameters: number;
    readonly trainable: number;
  }[];
}

/** The content of memory.json, in bytes: the prediction before the run, and the memory of the process before the model was loaded. */
export interface MemoryPlan {
  readonly predicted: {
    readonly weightsBytes: number;
    /** Parameters that the method adds to the weights. */
    readonly trainedBytes: number;
    /** Gradients that are kept between batches. */
    readonly gradientBytes: number;
    readonly optimizerBytes: number;
    /** Memory that is offloaded to disk, or to host memory next to a GPU; missing in runs of older versions. */
    readonly offloadedBytes?: number;
    readonly activationBytes: number;
    /** Whether the device's compiler has counted the activations; missing in runs of older versions. */
    readonly source?: 'compiler' | 'model';
    readonly engineOverheadBytes: number;
    readonly totalBytes: number;
  };
  readonly recompute: string;
  /** 'cpu', or the device that holds the tensors, whose own memory is not part of the process. */
  readonly device: 'cpu' | 'gpu';
  /** Resident memory before any part of the model was loaded. */
  readonly baselineBytes: number;
  /** Growth of the process while each part was loaded; missing before that, and in runs of older versions. */
  readonly held?: {
    readonly weightsBytes: number;
    readonly trainedBytes: number;
    readonly gradientBytes: number;
    readonly optimizerBytes: number;
  };
  /** Free memory of the machine, or of the GPU, when the run began. */
  readonly availableBytes: number;
  /** Memory that the run may use; missing in runs of older versions, which may use half. */
  readonly usableBytes?: number;
  readonly fits: boolean;
}

/** One process of a run. Times are per update, averaged since the previous line of metrics. */
export interface RankView {
  readonly rank: number;
  readonly host: string;
  readonly pid: number;
  readonly residentBytes: number;
  /** The highest peak during training so far. */
  readonly peakBytes: number;
  readonly secondsPerUpdate: number;
  /** Seconds per update in which its program waited for an exchange, or for a slower rank. */
  readonly waitedSeconds: number;
  /** Seconds per update in which an exchange was in progress. */
  readonly exchangeSeconds: number;
  /** Number of bytes that this rank sends per update. */
  readonly bytesPerUpdate: number;
}

/** The content of ranks.json: the processes of a run at the newest line of metrics. */
export interface RanksView {
  readonly step: number;
  readonly ranks: readonly RankView[];
}

/** A held-out prompt with the answer that the model generated. */
export interface AnswerView {
  readonly prompt: string;
  /** The answer in the data. */
  readonly reference: string;
  readonly answer: string;
  /** The score of each check, 0 to 1. */
  readonly scores: Readonly<Record<string, number>>;
  /** The score of the reward model, if there is one. */
  readonly reward?: number;
  /** The reward of the original model's answer to the same prompt. */
  readonly baseReward?: number;
}

/** An answer with the number of updates before it; a line of answers.jsonl. */
export interface StepAnswer extends AnswerView {
  readonly step: number;
}

export interface EvaluationView {
  readonly loss: number;
  readonly perplexity?: number;
  readonly tokenAccuracy?: number;
  readonly samples: number;
  readonly labels?: {
    readonly accuracy: number;
    readonly majority: number;
    readonly confusion: Readonly<Record<string, Readonly<Record<string, number>>>>;
  };
  readonly measures?: Readonly<Record<string, number>>;
}

/** The content of evaluation.json: the newest evaluation during training, and that of the original model. */
export interface NewestEvaluation {
  readonly step: number;
  readonly before: EvaluationView | null;
  readonly newest: EvaluationView;
}

/** The base and the tuned model on general text, in nats per token. */
export interface ForgettingView {
  readonly base: number;
  readonly tuned: number;
  readonly divergence: number;
  readonly targets: number;
}

/** The content of summary.json, which is written when a run ends. */
export interface SummaryView {
  readonly state: 'finished' | 'stopped';
  readonly checkpoint: string | null;
  readonly steps: number;
  readonly totalSteps: number;
  readonly before: EvaluationView | null;
  readonly after: EvaluationView | null;
  readonly forgetting?: ForgettingView;
  readonly trainable: number;
  readonly trainableShare: number;
  readonly secondsPerStep: number | null;
  readonly tokensPerSecond: number;
  /** Memory in bytes, split as in the paper; null if the tensors are not in the memory of the process. */
  readonly memory: {
    readonly mem_M: number;
    readonly mem_FT: number;
    readonly mem_Aux: number;
    readonly mem_TTL: number;
    readonly mem: number;
  } | null;
  readonly engine: string;
  readonly recompute: string;
}

/** Metrics lines by column; null if a line lacks the metric. With `reset`, all earlier lines are void. */
export interface MetricsPatch {
  readonly type: 'metrics';
  readonly reset: boolean;
  readonly length: number;
  readonly columns: Readonly<Record<string, readonly (number | null)[]>>;
}

/** Answers to held-out prompts, one evaluation after the other. With `reset`, all earlier answers are void. */
export interface AnswersPatch {
  readonly type: 'answers';
  readonly reset: boolean;
  readonly answers: readonly StepAnswer[];
}

export type RunPatch =
  | { readonly type: 'overview'; readonly overview: RunOverview }
  /** There is no readable run: it is queued, or it was deleted. */
  | { readonly type: 'missing'; readonly runDir: string; readonly job?: ShownJob }
  | { readonly type: 'recipe'; readonly text: string; readonly entries: readonly RecipeEntry[] }
  | { readonly type: 'coverage'; readonly coverage: CoverageView }
  | { readonly type: 'memory'; readonly memory: MemoryPlan }
  | { readonly type: 'ranks'; readonly ranks: RanksView }
  | { readonly type: 'evaluation'; readonly evaluation: NewestEvaluation }
  /** Null while the run continues. */
  | { readonly type: 'summary'; readonly summary: SummaryView | null }
  | MetricsPatch
  | AnswersPatch
  | { readonly type: 'log'; readonly reset: boolean; readonly lines: readonly string[] };

/** A reply to a request of the user. */
export interface Notice {
  readonly type: 'notice';
  readonly level: 'info' | 'error';
  readonly message: string;
}

export type RunToPage = RunPatch | Notice;

export type RunAction = 'stop' | 'abort' | 'resume' | 'heatmap' | 'try' | 'export' | 'folder' | 'recipe' | 'log' | 'jobLog';

export type RunFromPage =
  /** The page is ready and has no data: send everything. */
  | { readonly type: 'ready' }
  | { readonly type: 'action'; readonly action: RunAction }
  /** A file that the page has generated. */
  | { readonly type: 'save'; readonly suggestedName: string; readonly content: string };
