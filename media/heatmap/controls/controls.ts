/** The toolbar: scores and comparison, colors, and budget, with problems below. */
import { element, setText } from '../../shared/element.ts';
import type { PageState } from '../page-state.ts';
import { incomparableNote, type Picture, randomScoresNote } from '../picture.ts';
import { createBudgetControls } from './budget-controls.ts';
import { createLookControls, type LookActions } from './look-controls.ts';
import { createSourceControls, type SourceActions } from './source-controls.ts';

export type ControlActions = SourceActions & LookActions;

export interface Controls {
  readonly element: HTMLElement;
  /** Focuses the list of scores. */
  focus(): void;
  update(picture: Picture, state: PageState): void;
}

export function createControls(actions: ControlActions): Controls {
  const sources = createSourceControls(actions);
  const look = createLookControls(actions);
  const budget = createBudgetControls(actions.choose);
  const problem = element('div', { class: 'problem', role: 'alert', hidden: true });
  const note = element('div', { class: 'note', role: 'note', hidden: true });
  return {
    element: element(
      'div',
      { class: 'toolbar', role: 'toolbar', 'aria-label': 'Heatmap' },
      sources.element,
      look.element,
      budget.element,
      problem,
      note,
    ),
    focus: sources.focus,
    update(picture, state) {
      sources.update(picture, state);
      look.update(picture);
      budget.update(picture);
      setText(problem, problemsOf(picture).join(' · '));
      problem.hidden = problem.textContent === '';
      setText(note, [incomparableNote(picture), randomScoresNote(picture)].filter(Boolean).join(' '));
      note.hidden = note.textContent === '';
    },
  };
}

/** The problems with reading the sources and with the budget. */
function problemsOf({ sourceA, sourceB, problem }: Picture): readonly string[] {
  const ofSources = [sourceA, sourceB].flatMap(source => (source?.problem ? [`${source.label}: ${source.problem}`] : []));
  return [...new Set(ofSources), ...(problem ? [problem] : [])];
}
