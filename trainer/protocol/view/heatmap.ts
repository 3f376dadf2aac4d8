/**
 * Messages between the heatmap page and its host. The page sends `ready`; the host answers with the sources, then with scores on request.
 */

import type { Recipe } from '../recipe/recipe-schema.ts';

/** A score file or a run folder. */
export interface HeatmapSource {
  /** An absolute path on the daemon's machine. */
  readonly path: string;
  readonly label: string;
  /** Whether the file is on the editor's machine, wherever the daemon is. */
  readonly isHere?: boolean;
  /** The job that computes the scores, if any: its progress is shown. */
  readonly jobId?: string;
}

/** The state that restores the page after a reload. */
export interface HeatmapState {
  readonly kind: 'heatmap';
  readonly sources: readonly HeatmapSource[];
}

/** A budget, as `Budget` in trainer/selection.ts. */
export type HeatmapBudget = { readonly r: number } | { readonly ratio: number };

/** A set with one score for each row of each module. */
export interface ScoreSetInfo {
  /** Unique within its source. */
  readonly key: string;
  readonly measure: string;
  /** The class of class-wise scores. */
  readonly className?: string;
}

export interface HeatmapModule {
  readonly name: string;
  /**
   * Shape of the weight; the first dimension is the rows, or the columns if those are scored. Only [rows] if the file has no more
   * information.
   */
  readonly shape: readonly number[];
  /** Present if its rows are the columns of a weight: the inputs of the layer. */
  readonly unit?: 'columns' | undefined;
  /** Number of trainable parameters per row, including its bias; undefined if the file does not say. */
  readonly rowParameters?: number;
  /** Number of neighboring rows that the recipe chooses together (a head of attention); left out if each row is chosen by itself. */
  readonly block?: number | undefined;
}

export interface HeatmapSourceInfo {
  readonly path: string;
  readonly label: string;
  readonly kind: 'scores' | 'run';
  readonly sets: readonly ScoreSetInfo[];
  /** The modules, in the model's order. */
  readonly modules: readonly HeatmapModule[];
  /** The number of training samples that the measure used. */
  readonly samples?: number;
  /** Number of parameters of the whole model, if a run provides it. */
  readonly modelParameters?: number;
  /** The budget of the run's recipe, or of the recipe next to the scores. */
  readonly budget?: HeatmapBudget;
  readonly selectionMode?: Recipe['importance']['selection'];
  /** Minimum number of rows of each layer, if rows compete across layers. */
  readonly minRows?: number;
  /** The rows that the run trains, ascending. */
  readonly selection?: readonly { readonly module: string; readonly rows: Int32Array }[];
  /** Whether the scores are still being computed, or their computation was abandoned. */
  readonly isPartial: boolean;
  /** Whether a job is computing its scores and none exist yet. */
  readonly isAwaited?: boolean;
  /** The reason why nothing, or not everything, can be shown. */
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
  /** As in {@link HeatmapModule}. */
  readonly block?: number | undefined;
}

export type HeatmapToPage =
  | {
      readonly type: 'sources';
      readonly sources: readonly HeatmapSourceInfo[];
      /** Runs and score files nearby, as candidates for a comparison. */
      readonly candidates: readonly HeatmapSource[];
      /** The setting `rowtune.heatmap.colorMap`. */
      readonly colorMap: string;
    }
  /** Replaces all earlier information about this source. */
  | { readonly type: 'source'; readonly source: HeatmapSourceInfo }
  /** New or changed scores; `isLast` if no more follow. */
  | { readonly type: 'scores'; readonly set: ScoreSetRef; readonly modules: readonly ModuleScores[]; readonly isLast: boolean }
  /** Progress of the job that computes a source; without numbers, the job has ended. */
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
  /** All sets that are currently shown; sets that are no longer listed need not be sent. */
  | { readonly type: 'want'; readonly sets: readonly ScoreSetRef[] }
  | { readonly type: 'add-source'; readonly source: HeatmapSource }
  | { readonly type: 'remove-source'; readonly path: string }
  | { readonly type: 'open-run'; readonly path: string }
  | { readonly type: 'save'; readonly suggestedName: string; readonly content: string | Uint8Array };
