/** The state of the heatmap page, how each event changes it, and the sets and sentences derived from it. Pure. */
import { amountText } from '../../trainer/protocol/messages/job-stage.ts';
import { duration } from '../../trainer/protocol/text/format.ts';
import type { HeatmapSource, HeatmapSourceInfo, HeatmapToPage, ScoreSetRef } from '../../trainer/protocol/view/heatmap.ts';
import { type HeatmapViewState, settle, sourceOf } from './view-state.ts';

export interface PageState {
  readonly choices: HeatmapViewState;
  readonly sources: readonly HeatmapSourceInfo[];
  /** Runs and score files nearby that can be opened for a comparison. */
  readonly candidates: readonly HeatmapSource[];
  /** The default color map in the settings. */
  readonly colorSetting: string;
  /** True once the host has sent the sources. */
  readonly isReady: boolean;
  /** The path of a source that the user added for comparison; it becomes B when it arrives. */
  readonly added?: string;
  /** The progress of the jobs that compute scores: one sentence per path. */
  readonly progress: Readonly<Record<string, string>>;
  /** The line below the map: progress, or the file saved last. */
  readonly status: string;
}

export type PageEvent =
  | HeatmapToPage
  /** A choice of the user. */
  | { readonly type: 'choose'; readonly change: Partial<HeatmapViewState> }
  | { readonly type: 'add'; readonly source: HeatmapSource }
  | { readonly type: 'remove'; readonly path: string };

export const startPage = (choices: HeatmapViewState): PageState => ({
  choices,
  sources: [],
  candidates: [],
  colorSetting: '',
  isReady: false,
  progress: {},
  status: '',
});

export function updatePage(state: PageState, event: PageEvent): PageState {
  switch (event.type) {
    case 'choose':
      return { ...state, choices: settle({ ...state.choices, ...event.change }, state.sources) };
    case 'add':
      return { ...state, added: event.source.path };
    case 'sources':
      return withSources({ ...state, candidates: event.candidates, colorSetting: event.colorMap, isReady: true }, event.sources);
    case 'source': {
      const { source } = event;
      // Choices can't be checked before the list of sources arrives.
      if (!state.sources.some(({ path }) => path === source.path)) return state;
      return withSources(
        state,
        state.sources.map(each => (each.path === source.path ? source : each)),
      );
    }
    case 'progress': {
      const progress = { ...state.progress, [event.path]: progressSentence(event) };
      return { ...state, progress, status: Object.values(progress).filter(Boolean).join(' · ') };
    }
    case 'saved':
      return { ...state, status: `Saved ${event.path}` };
    // Scores have their own store, and sources are removed by the host.
    case 'scores':
    case 'remove':
      return state;
  }
}

function withSources(state: PageState, sources: readonly HeatmapSourceInfo[]): PageState {
  const fresh = sources.find(({ path }) => path === state.added);
  if (!fresh) return { ...state, sources, choices: settle(state.choices, sources) };
  // If there are several measures, preselect the visible one, which is easiest to compare.
  const { a } = state.choices;
  const measure = sourceOf(sources, a)?.sets.find(({ key }) => key === a?.key)?.measure;
  const set = fresh.sets.find(each => each.measure === measure) ?? fresh.sets[0];
  const choices: HeatmapViewState = {
    ...state.choices,
    b: { path: fresh.path, key: set?.key ?? '' },
    view: set ? 'difference' : 'overlap',
  };
  return { ...state, sources, added: undefined, choices: settle(choices, sources) };
}

/** "Scoring rows: 3 of 8 batches, 20 s left" */
export function progressSentence({ progress, message }: Extract<HeatmapToPage, { type: 'progress' }>): string {
  if (!progress) return message;
  const left = progress.secondsLeft === undefined ? '' : `, ${duration(progress.secondsLeft)} left`;
  return `${message}: ${amountText(progress)}${left}`;
}

/** The distinct visible sets, whose scores the host sends. */
export function wantedSets({ a, b }: HeatmapViewState): readonly ScoreSetRef[] {
  if (!a) return b ? [b] : [];
  return b && (b.path !== a.path || b.key !== a.key) ? [a, b] : [a];
}

/** The sentence announced right after an event. */
export function sentenceAfter(event: PageEvent, before: PageState): string | undefined {
  switch (event.type) {
    case 'remove':
      return `${before.sources.find(({ path }) => path === event.path)?.label ?? event.path} was removed`;
    case 'source': {
      const known = before.sources.find(({ path }) => path === event.source.path);
      return known?.isPartial && !event.source.isPartial ? `The scores of ${event.source.label} are complete` : undefined;
    }
    case 'saved':
      return `Saved ${event.path}`;
    default:
      return undefined;
  }
}
