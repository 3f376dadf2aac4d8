/** What the page of a run and its host say to each other; the page that compares runs gets the same patches, one stream for each run. */
import type { JobRecord, RunInfo } from '../rpc-messages.ts';

/** A patch of metrics or of the log holds at most so many lines, so that a page of 100,000 points is drawn while the rest still comes. */
export const PATCH_LINES = 5000;

/** Lines of a log that a page keeps, and a host sends when it begins: the newest. The whole log is a file. */
export const KEPT_LOG_LINES = 20_000;

/** What a page shows of the daemon's job. */
export type ShownJob = Pick<JobRecord, 'id' | 'state' | 'phase' | 'progress' | 'failure'>;

/** Where a run stands: what its folder says, and its newest job where the daemon knows one. */
export interface RunOverview extends RunInfo {
  readonly job?: ShownJob;
  /** It has not done all its updates and nothing works on it. */
  readonly resumable: boolean;
}

/** A setting as the run has it, by its dotted path, written as a recipe writes it. */
export interface RecipeEntry {
  readonly key: string;
  readonly value: string;
  readonly isDefault: boolean;
  /** One sentence of the schema. */
  readonly doc: string;
}

/** coverage.json; `module` is a dotted name with the number of its block in it. */
export interface CoverageView {
  readonly method: string;
  readonly trainable: number;
  readonly parameters: number;
  /** trainable / parameters. */
  readonly share: number;
  readonly modules: readonly {
    readonly module: string;
    readonly rows: number;
    /** 0 where a method trains no row itself (lora). */
    readonly trainedRows: number;
    readonly parameters: number;
    readonly trainable: number;
  }[];
}

/** memory.json, bytes: what was predicted before the run, and what the process took before its model came. */
export interface MemoryPlan {
  readonly predicted: {
    readonly weightsBytes: number;
    /** What the method adds beside the weights. */
    readonly trainedBytes: number;
    /** Held between batches. */
    readonly gradientBytes: number;
    readonly optimizerBytes: number;
    /** On disk, or in the host's memory beside a GPU; absent in runs of older versions. */
    readonly offloadedBytes?: number;
    readonly activationBytes: number;
    readonly engineOverheadBytes: number;
    readonly totalBytes: number;
  };
  readonly recompute: string;
  /** 'cpu', or what holds the tensors: its own memory is not in what the process takes. */
  readonly device: 'cpu' | 'gpu';
  /** Resident before anything of the model was loaded. */
  readonly baselineBytes: number;
  /** By what the process grew while each was loaded; absent until then, and in runs of older versions. */
  readonly held?: {
    readonly weightsBytes: number;
    readonly trainedBytes: number;
    readonly gradientBytes: number;
    readonly optimizerBytes: number;
  };
  /** Free on the machine when the run began. */
  readonly availableBytes: number;
  readonly fits: boolean;
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

/** evaluation.json: the newest evaluation of a run that trains, beside that of the untouched model. */
export interface NewestEvaluation {
  readonly step: number;
  readonly before: EvaluationView | null;
  readonly newest: EvaluationView;
}

/** summary.json, written when a run ends. */
export interface SummaryView {
  readonly state: 'finished' | 'stopped';
  readonly checkpoint: string | null;
  readonly steps: number;
  readonly totalSteps: number;
  readonly before: EvaluationView | null;
  readonly after: EvaluationView | null;
  readonly trainable: number;
  readonly trainableShare: number;
  readonly secondsPerStep: number | null;
  readonly tokensPerSecond: number;
  /** Bytes, as the paper splits them; null where the process does not hold the device's memory. */
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

/** Lines of metrics by column; null where a line has no such number. With `reset` all lines before are void. */
export interface MetricsPatch {
  readonly type: 'metrics';
  readonly reset: boolean;
  readonly length: number;
  readonly columns: Readonly<Record<string, readonly (number | null)[]>>;
}

export type RunPatch =
  | { readonly type: 'overview'; readonly overview: RunOverview }
  /** Nothing that can be read as a run is there: it waits in the queue, or it was deleted. */
  | { readonly type: 'missing'; readonly runDir: string; readonly job?: ShownJob }
  | { readonly type: 'recipe'; readonly text: string; readonly entries: readonly RecipeEntry[] }
  | { readonly type: 'coverage'; readonly coverage: CoverageView }
  | { readonly type: 'memory'; readonly memory: MemoryPlan }
  | { readonly type: 'evaluation'; readonly evaluation: NewestEvaluation }
  /** Null while the run goes on. */
  | { readonly type: 'summary'; readonly summary: SummaryView | null }
  | MetricsPatch
  | { readonly type: 'log'; readonly reset: boolean; readonly lines: readonly string[] };

/** A word about what the user has asked for. */
export interface Notice {
  readonly type: 'notice';
  readonly level: 'info' | 'error';
  readonly message: string;
}

export type RunToPage = RunPatch | Notice;

export type RunAction = 'stop' | 'abort' | 'resume' | 'heatmap' | 'try' | 'export' | 'folder' | 'recipe' | 'log';

export type RunFromPage =
  /** The page is there and has nothing: send everything. */
  | { readonly type: 'ready' }
  | { readonly type: 'action'; readonly action: RunAction }
  /** A file that the page has made. */
  | { readonly type: 'save'; readonly suggestedName: string; readonly content: string };
