/** The state of the Compare page and how each event changes it. Run models are updated in place, because they hold long curves. */
import { distinctNames } from '../../trainer/protocol/run/run-names.ts';
import type { CompareToPage } from '../../trainer/protocol/view/compare.ts';
import { RunModel } from '../shared/run-model.ts';
import type { ComparedRun } from './compared-run.ts';

export interface CompareState {
  /** The runs in the order of the host's list. */
  readonly runs: readonly ComparedRun[];
  /** Folders of runs whose curves the user has hidden. */
  readonly hidden: readonly string[];
  /** True once the host has sent its list. */
  readonly isReady: boolean;
  readonly notice?: Extract<CompareToPage, { type: 'notice' }>;
}

export type CompareEvent = CompareToPage | { readonly type: 'show'; readonly runDir: string; readonly isShown: boolean };

/** @param hidden kept by an earlier page, so not validated */
export const startCompare = (hidden: unknown): CompareState => ({
  runs: [],
  hidden: Array.isArray(hidden) ? hidden.filter(each => typeof each === 'string') : [],
  isReady: false,
});

export function updateCompare(state: CompareState, event: CompareEvent): CompareState {
  switch (event.type) {
    case 'runs':
      return { ...state, runs: listed(state, event.runDirs), isReady: true };
    case 'patch':
      state.runs.find(({ runDir }) => runDir === event.runDir)?.model.apply(event.patch);
      return state;
    case 'notice':
      return { ...state, notice: event };
    case 'show': {
      const others = state.hidden.filter(runDir => runDir !== event.runDir);
      const hidden = event.isShown ? others : [...others, event.runDir];
      return { ...state, hidden, runs: state.runs.map(run => ({ ...run, isShown: !hidden.includes(run.runDir) })) };
    }
  }
}

function listed({ runs, hidden }: CompareState, runDirs: readonly string[]): readonly ComparedRun[] {
  const names = distinctNames(runDirs);
  const stays = runs.filter(({ runDir }) => runDirs.includes(runDir));
  const taken = new Set(stays.map(({ look }) => look));
  return runDirs.map(runDir => {
    const run = stays.find(each => each.runDir === runDir) ?? newRun(runDir, taken);
    run.model.givenName = names.get(runDir);
    return { ...run, isShown: !hidden.includes(runDir) };
  });
}

/** Creates a run with the first color that no other run has. */
function newRun(runDir: string, taken: Set<number>): ComparedRun {
  let look = 0;
  while (taken.has(look)) look++;
  taken.add(look);
  return { runDir, model: new RunModel(), look, isShown: true };
}
