/** Notices runs that were deleted by another window or the command line, from the lists of runs. */

export interface RunListing {
  /** Whose runs were listed. */
  readonly folders: readonly string[];
  readonly runs: readonly { readonly runDir: string }[];
  /** There may be more runs. */
  readonly truncated: boolean;
  /** Folders in which a job is at work: a run that is replaced is not there for a moment. */
  readonly busy: readonly string[];
}

export interface Vanished {
  readonly deleted: readonly string[];
  /** Some are missing for the first time: another list tells whether they come back. */
  readonly isUnsure: boolean;
}

export class VanishedRuns {
  #folders = '';
  #known: ReadonlySet<string> = new Set();
  #missing: ReadonlySet<string> = new Set();

  /** Runs that were listed before and are missing from two complete lists of the same folders were deleted. */
  look({ folders, runs, truncated, busy }: RunListing): Vanished {
    const there = new Set(runs.map(({ runDir }) => runDir));
    const scope = JSON.stringify(folders);
    const isComparable = scope === this.#folders && !truncated;
    this.#folders = scope;
    const absent = isComparable ? [...this.#known, ...this.#missing].filter(runDir => !there.has(runDir) && !busy.includes(runDir)) : [];
    const deleted = absent.filter(runDir => this.#missing.has(runDir));
    this.#missing = new Set(absent.filter(runDir => !this.#missing.has(runDir)));
    this.#known = there;
    return { deleted, isUnsure: this.#missing.size > 0 };
  }
}
