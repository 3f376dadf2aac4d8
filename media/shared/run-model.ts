/** The state of one run on a page, built from the host's patches. */

import { objectiveCatalog, objectiveNames } from '../../trainer/catalog/objectives.ts';
import { isActive } from '../../trainer/protocol/run/run-activity.ts';
import { folderName, isNamedAfter } from '../../trainer/protocol/run/run-names.ts';
import type {
  CoverageView,
  MemoryPlan,
  NewestEvaluation,
  RanksView,
  RecipeEntry,
  RunOverview,
  RunPatch,
  ShownJob,
  SummaryView,
} from '../../trainer/protocol/view/run.ts';
import { LogLines } from './log-lines.ts';
import { MetricHistory } from './series/metric-history.ts';
import { WrittenAnswers } from './written-answers.ts';

export class RunModel {
  /** The display name, if the folder name alone is ambiguous. */
  givenName: string | undefined;
  overview: RunOverview | undefined;
  /** Set if there is no run folder (yet, or any more), with the job that will create it. */
  missing: { readonly runDir: string; readonly job?: ShownJob } | undefined;
  recipe: { readonly text: string; readonly entries: readonly RecipeEntry[] } | undefined;
  coverage: CoverageView | undefined;
  memory: MemoryPlan | undefined;
  /** Set for a run of several processes. */
  ranks: RanksView | undefined;
  evaluation: NewestEvaluation | undefined;
  summary: SummaryView | null = null;
  /** The remaining time that the job last reported while training, so that the page and the status bar agree. */
  secondsLeft: number | undefined;
  readonly history = new MetricHistory();
  readonly log = new LogLines();
  readonly answers = new WrittenAnswers();

  apply(patch: RunPatch): void {
    switch (patch.type) {
      case 'overview':
        this.overview = patch.overview;
        this.missing = undefined;
        this.secondsLeft = secondsLeftOf(patch.overview, this.secondsLeft);
        return;
      case 'missing':
        this.overview = undefined;
        this.missing = patch;
        return;
      case 'recipe':
        this.recipe = patch;
        return;
      case 'coverage':
        this.coverage = patch.coverage;
        return;
      case 'memory':
        this.memory = patch.memory;
        return;
      case 'ranks':
        this.ranks = patch.ranks;
        return;
      case 'evaluation':
        this.evaluation = patch.evaluation;
        return;
      case 'summary':
        this.summary = patch.summary;
        return;
      case 'metrics':
        this.history.append(patch);
        return;
      case 'answers':
        this.answers.append(patch);
        return;
      case 'log':
        this.log.append(patch);
        return;
    }
  }

  get isActive(): boolean {
    return isActive(this.overview?.state);
  }

  /** The value of a recipe setting, if known. */
  setting(key: string): string | undefined {
    return this.recipe?.entries.find(entry => entry.key === key)?.value;
  }

  /** True unless the recipe is known to hold no data out. */
  get hasHeldOutData(): boolean {
    return this.setting('data.eval') !== '[]' || this.setting('val_size') !== '0';
  }

  /** The unit of its throughput. */
  get throughputUnit(): 'tokens' | 'images' {
    const task = this.setting('task');
    return objectiveNames.some(name => name === task && objectiveCatalog[name].unit === 'images') ? 'images' : 'tokens';
  }

  /** The name of the run's folder, which distinguishes runs of one recipe. */
  get name(): string {
    const runDir = this.overview?.runDir ?? this.missing?.runDir;
    return this.givenName ?? (runDir === undefined ? 'run' : folderName(runDir));
  }

  /** The name of the recipe; undefined if the folder has the same name. */
  get recipeName(): string | undefined {
    const name = this.overview?.name;
    return name === undefined || isNamedAfter(folderName(this.name), name) ? undefined : name;
  }
}

/** The remaining seconds; during an evaluation between updates, the earlier value. */
function secondsLeftOf({ job, state }: RunOverview, before: number | undefined): number | undefined {
  if (state !== 'running' || job === undefined) return undefined;
  return job.progress?.phase === 'train' ? job.progress.secondsLeft : before;
}
