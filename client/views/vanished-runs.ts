/** Detects, from the lists of runs, that another window or the command line deleted runs, and keeps those that a short list left out. */

export interface RunListing {
  /** The folders whose runs were listed. */
  readonly folders: readonly string[];
  readonly runs: readonly { readonly runDir: string }[];
  /** True if there may be more runs. */
  readonly truncated: boolean;
  /** Folders of running jobs: a run that is being replaced is missing for a moment. */
  readonly busy: readonly string[];
}

export interface Vanished {
  readonly deleted: readonly string[];
  /** True if some runs are missing for the first time; the next list shows whether they come back. */
  readonly isUnsure: boolean;
}

export class VanishedRuns {
  private folders = '';
  private known: ReadonlySet<string> = new Set();
  private missing: ReadonlySet<string> = new Set();

  /** Finds deleted runs: those listed before that are missing from two complete lists of the same folders. */
  look({ folders, runs, truncated, busy }: RunListing): Vanished {
    const there = new Set(runs.map(({ runDir }) => runDir));
    const scope = JSON.stringify(folders);
    const isComparable = scope === this.folders && !truncated;
    this.folders = scope;
    const absent = isComparable ? [...this.known, ...this.missing].filter(runDir => !there.has(runDir) && !busy.includes(runDir)) : [];
    const deleted = absent.filter(runDir => this.missing.has(runDir));
    this.missing = new Set(absent.filter(runDir => !this.missing.has(runDir)));
    this.known = there;
    return { deleted, isUnsure: this.missing.size > 0 };
  }
}

interface Listed {
  readonly runDir: string;
}

/**
 * The runs of a list that was cut short, followed by those of the list before that are still there: on a slow disk, a run that was not
 * reached in time would seem deleted.
 */
export function withUnreached<Run extends Listed>(
  before: readonly Run[],
  { runs, truncated }: { readonly runs: readonly Run[]; readonly truncated: boolean },
  isThere: (runDir: string) => boolean,
): readonly Run[] {
  if (!truncated) return runs;
  const reached = new Set(runs.map(({ runDir }) => runDir));
  return [...runs, ...before.filter(({ runDir }) => !reached.has(runDir) && isThere(runDir))];
}
