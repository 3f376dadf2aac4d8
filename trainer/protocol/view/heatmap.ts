/** What the heatmap page and its host say to each other. The page says `ready`; the host answers with the sources, then scores as they are wanted. */

/** A file of scores, or a run folder. */
export interface HeatmapSource {
  /** Absolute, on the machine of the daemon. */
  readonly path: string;
  readonly label: string;
  /** It is on the machine of the editor, wherever the daemon is. */
  readonly isHere?: boolean;
  /** The job that computes the scores, where one does: its progress is shown. */
  readonly jobId?: string;
}

/** What the page is drawn from again after a reload. */
export interface HeatmapState {
  readonly kind: 'heatmap';
  readonly sources: readonly HeatmapSource[];
}

/** As `Budget` of trainer/selection.ts. */
export type HeatmapBudget = { readonly r: number } | { readonly ratio: number };

/** One score for each row of each module. */
export interface ScoreSetInfo {
  /** Names it within its source. */
  readonly key: string;
  readonly measure: string;
  /** Of class-wise scores. */
  readonly className?: string;
}

export interface HeatmapModule {
  readonly name: string;
  /** Of the weight; the first is the rows. Only [rows] where the file does not tell more. */
  readonly shape: readonly number[];
  /** Trainable numbers of one row, its bias included; undefined where the file does not tell. */
  readonly rowParameters?: number;
}

export interface HeatmapSourceInfo {
  readonly path: string;
  readonly label: string;
  readonly kind: 'scores' | 'run';
  readonly sets: readonly ScoreSetInfo[];
  /** In the model's order. */
  readonly modules: readonly HeatmapModule[];
  /** Training samples that the measure looked at. */
  readonly samples?: number;
  /** Of the whole model, where a run tells. */
  readonly modelParameters?: number;
  /** Of the run's recipe, or of the recipe that the scores lie beside. */
  readonly budget?: HeatmapBudget;
  readonly selectionMode?: 'per_layer' | 'global';
  /** The rows that the run trains, ascending. */
  readonly selection?: readonly { readonly module: string; readonly rows: Int32Array }[];
  /** Still being computed, or left so. */
  readonly isPartial: boolean;
  /** A job computes its scores, and none are there yet. */
  readonly isAwaited?: boolean;
  /** Why nothing, or not everything, can be shown. */
  readonly problem?: string;
}

export interface ScoreSetRef {
  readonly path: string;
  readonly key: string;
}

export interface ModuleScores {
  readonly name: string;
  /** [rows] */
  readonly scores: Float32Array;
}

export type HeatmapToPage =
  | {
      readonly type: 'sources';
      readonly sources: readonly HeatmapSourceInfo[];
      /** Runs and files of scores beside them, to compare with. */
      readonly candidates: readonly HeatmapSource[];
      /** The setting `rowtune.heatmap.colorMap`. */
      readonly colorMap: string;
    }
  /** Takes the place of what was said of this source before. */
  | { readonly type: 'source'; readonly source: HeatmapSourceInfo }
  /** Scores that are new or have changed; `isLast` where no more are on their way. */
  | { readonly type: 'scores'; readonly set: ScoreSetRef; readonly modules: readonly ModuleScores[]; readonly isLast: boolean }
  /** Of the job that computes a source; without numbers it is over. */
  | { readonly type: 'progress'; readonly path: string; readonly progress?: HeatmapProgress; readonly message: string }
  | { readonly type: 'saved'; readonly path: string };

export interface HeatmapProgress {
  readonly done: number;
  readonly total: number;
  readonly unit: string;
  readonly secondsLeft?: number;
}

export type HeatmapFromPage =
  | { readonly type: 'ready' }
  /** All sets that are shown now; what was wanted before and is not in it any more need not come. */
  | { readonly type: 'want'; readonly sets: readonly ScoreSetRef[] }
  | { readonly type: 'add-source'; readonly source: HeatmapSource }
  | { readonly type: 'remove-source'; readonly path: string }
  | { readonly type: 'open-run'; readonly path: string }
  | { readonly type: 'save'; readonly suggestedName: string; readonly content: string | Uint8Array };
