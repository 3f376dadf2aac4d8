/** The files of scores that the daemon hands out in pages. */

/** A score file, or a run's file that a heatmap uses. */
export interface ReadScoresParams {
  readonly path: string;
  /** A byte offset from 0. */
  readonly from: number;
  /** As in the previous page; at offset 0, the version of the existing copy. */
  readonly version?: string;
}

export interface ScoresPage {
  /** Empty if the file is not the one of `version`, or at offset 0 if it did not change. */
  readonly base64: string;
  readonly size: number;
  readonly modifiedMs: number;
  /** Empty if there is no such file. */
  readonly version: string;
}
