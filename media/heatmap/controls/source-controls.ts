/** The first line of the toolbar: the scores that are shown, and those they are compared with. */
import type { HeatmapSource, HeatmapSourceInfo } from '../../../trainer/protocol/view/heatmap.ts';
import { element } from '../../shared/element.ts';
import type { View } from '../grid/cell-values.ts';
import type { PageState } from '../page-state.ts';
import type { Picture } from '../picture.ts';
import type { HeatmapViewState } from '../view-state.ts';
import { createButton, createSelect, createSwitch } from './control-parts.ts';
import type { Option } from './options.ts';
import { classOptions, comparisonOptions, entryOf, NONE, scoreEntries } from './source-options.ts';

export interface SourceActions {
  /** Returns the current choices; the picture may be one frame behind. */
  chosen(): HeatmapViewState;
  choose(change: Partial<HeatmapViewState>): void;
  add(source: HeatmapSource): void;
  remove(path: string): void;
  /** Opens the page of the run whose scores are shown. */
  openRun(): void;
}

export interface SourceControls {
  readonly element: HTMLElement;
  /** Focuses the list of scores. */
  focus(): void;
  update(picture: Picture, state: PageState): void;
}

const VIEWS: readonly Option<View>[] = [
  { value: 'importance', label: 'A', title: 'The scores of A' },
  { value: 'difference', label: 'A − B', title: 'By how much A scores higher than B' },
  { value: 'overlap', label: 'overlap', title: 'The share of what is selected that A and B have in common' },
];

export function createSourceControls({ chosen, choose, add, remove, openRun }: SourceActions): SourceControls {
  let state: Pick<PageState, 'sources' | 'candidates'> = { sources: [], candidates: [] };
  const refOf = (value: string) => scoreEntries(state.sources).find(entry => entry.value === value)?.ref;
  const chooseClass = (side: 'a' | 'b', key: string): void => {
    const ref = chosen()[side];
    if (ref) choose({ [side]: { ...ref, key } });
  };
  const compareWith = (value: string): void => {
    const candidate = state.candidates.find(({ path }) => path === value);
    const { b, view: before } = chosen();
    if (candidate) add(candidate);
    else if (value === NONE) choose({ b: undefined });
    else choose({ b: refOf(value), view: b ? before : 'difference' });
  };
  const shown = createSelect('Scores', value => choose({ a: refOf(value), budget: undefined }));
  const shownClass = createSelect('Class', key => chooseClass('a', key));
  const other = createSelect('Compare with', compareWith);
  const otherClass = createSelect('Class of B', key => chooseClass('b', key));
  const view = createSwitch<View>('View', value => choose({ view: value }));
  const run = createButton('Open run', 'Open run to see its curves', openRun);
  const [removeA, removeB] = [createRemover(remove), createRemover(remove)];
  const parts = [shown, shownClass, removeA, { element: run }, other, otherClass, removeB, view];
  return {
    element: element(
      'div',
      { class: 'line' },
      parts.map(part => part.element),
    ),
    focus: shown.focus,
    update({ state: choices, sourceA, sourceB }, next) {
      state = next;
      const entries = scoreEntries(next.sources);
      const [classesA, classesB] = [classOptions(sourceA, choices.a), classOptions(sourceB, choices.b)];
      shown.update(entries, entryOf(next.sources, choices.a), true);
      shownClass.update(classesA, choices.a?.key ?? '', classesA.length > 0);
      other.update(comparisonOptions(entries, next.candidates), entryOf(next.sources, choices.b), true);
      otherClass.update(classesB, choices.b?.key ?? '', classesB.length > 0);
      // The last source can't be removed. One button removes all measures of a source.
      const isRemovable = next.sources.length > 1;
      removeA.update(isRemovable ? sourceA : undefined);
      removeB.update(isRemovable && sourceB?.path !== sourceA?.path ? sourceB : undefined);
      run.hidden = sourceA?.kind !== 'run';
      view.element.hidden = !choices.b;
      view.update(VIEWS, choices.view);
    },
  };
}

/** Creates a button that removes a source; it is hidden if no source can be removed. */
function createRemover(remove: (path: string) => void) {
  let path = '';
  const button = createButton('×', '', () => remove(path));
  return {
    element: button,
    update: (source: HeatmapSourceInfo | undefined): void => {
      path = source?.path ?? '';
      button.hidden = source === undefined;
      button.title = `Remove ${source?.label ?? ''} from the heatmap`;
      button.setAttribute('aria-label', button.title);
    },
  };
}
