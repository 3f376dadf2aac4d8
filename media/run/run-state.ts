/** The state of the run page and how each event changes it. The run's model is updated in place, because it holds long curves and a log. */
import type { Notice, RunToPage } from '../../trainer/protocol/view/run.ts';
import { RunModel } from '../shared/run-model.ts';

/** The tabs below the curves, in order. */
export const runTabs = ['log', 'results', 'memory', 'coverage', 'recipe', 'values'] as const;

export type RunTab = (typeof runTabs)[number];

export const RUN_TABS: Readonly<Record<RunTab, string>> = {
  log: 'Log',
  results: 'Results',
  memory: 'Memory',
  coverage: 'Coverage',
  recipe: 'Recipe',
  values: 'Values',
};

export interface RunState {
  readonly model: RunModel;
  readonly tab: RunTab;
  readonly notice?: Notice;
}

export type RunEvent = RunToPage | { readonly type: 'tab'; readonly tab: string };

const tabOf = (tab: unknown): RunTab | undefined => runTabs.find(each => each === tab);

/** @param tab kept by an earlier page, so not validated */
export const startRun = (tab: unknown): RunState => ({ model: new RunModel(), tab: tabOf(tab) ?? 'log' });

export function updateRun(state: RunState, event: RunEvent): RunState {
  switch (event.type) {
    case 'tab':
      return { ...state, tab: tabOf(event.tab) ?? state.tab };
    case 'notice':
      return { ...state, notice: event.message === '' ? undefined : event };
    default:
      state.model.apply(event);
      return state;
  }
}
