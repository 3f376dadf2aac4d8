/** Messages for score files, which the daemon sends in pages. */

/** Requests a page of a score file, or of a run's file that a heatmap uses. */
export interface ReadScoresParams {
  readonly path: string;
  /** A byte offset from 0. */
  readonly from: number;
  /** The version from the previous page; at offset 0, the version of the client's copy. */
  readonly version?: string;
}

export interface ScoresPage {
  /** The content. Empty if the file no longer has this version, or at offset 0 if it did not change. */
  readonly base64: string;
  readonly size: number;
  readonly modifiedMs: number;
  /** The version of the file; empty if there is no such file. */
  readonly version: string;
}
