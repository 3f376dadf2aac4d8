/** The third line of the toolbar: the budget, the rows that it selects, and the way they are chosen. */
import { element, setText } from '../../shared/element.ts';
import { overlapText, selectionText } from '../cell/cell-facts.ts';
import type { Picture, Units } from '../picture.ts';
import type { BudgetChoice } from '../view-state.ts';
import { budgetNote, kindsOf, modesOf, sliderOf } from './budget-words.ts';
import { createSlider, createSwitch } from './control-parts.ts';

export interface BudgetControls {
  readonly element: HTMLElement;
  update(picture: Picture): void;
}

export function createBudgetControls(choose: (change: { readonly budget: BudgetChoice }) => void): BudgetControls {
  let budget: BudgetChoice | undefined;
  let hasTrained = false;
  let units: Units = 'rows';
  /** Number of rows of the smallest module. */
  let fewest = 1;
  const kind = createSwitch<BudgetChoice['kind']>('Budget', value => change({ kind: value }));
  const slider = createSlider('Budget', value => change(budget?.kind === 'ratio' ? { ratio: value } : { r: value }));
  const mode = createSwitch<BudgetChoice['mode']>('Ranking', value => change({ mode: value }));
  const selected = element('span', { class: 'selection' });
  const overlap = element('span', { class: 'selection' });
  const note = element('p', { class: 'note budget-note' });

  /** Applies a change and shows it at once, because the next input is read in the unit that the field shows. */
  function change(next: Partial<BudgetChoice>): void {
    if (!budget) return;
    budget = { ...budget, ...next };
    show(budget);
    choose({ budget });
  }

  function show(now: BudgetChoice): void {
    kind.update(kindsOf(hasTrained, units), now.kind);
    const isTrained = now.kind === 'trained';
    slider.element.hidden = mode.element.hidden = isTrained;
    mode.update(modesOf(units), now.mode);
    const { value, range, text } = sliderOf(now, fewest);
    slider.update(value, range, text, isTrained);
    setText(note, budgetNote(now, units));
    note.hidden = note.textContent === '';
  }

  return {
    element: element(
      'div',
      {},
      element(
        'div',
        { class: 'line' },
        element('span', { class: 'control' }, 'Budget'),
        kind.element,
        slider.element,
        mode.element,
        selected,
        overlap,
      ),
      note,
    ),
    update(picture) {
      ({ budget, hasTrained } = picture);
      ({ units } = picture.selection);
      fewest = Math.max(1, Math.min(...picture.modules.map(({ shape }) => shape[0] ?? 1)));
      show(picture.budget);
      setText(selected, selectionText(picture));
      setText(overlap, overlapText(picture) ?? '');
      overlap.hidden = !picture.state.b;
    },
  };
}
