/** The settings of each run, one column per run; by default, only those that differ. */
import { labelOfSetting } from '../../trainer/catalog/labels.ts';
import { csv } from '../shared/csv.ts';
import { element } from '../shared/element.ts';
import type { ComparedRun } from './compared-run.ts';
import { recipeRows } from './recipe-difference.ts';
import { createSortableTable } from './sortable-table.ts';

export interface RecipeTable {
  readonly element: HTMLElement;
  update(runs: readonly ComparedRun[]): void;
}

export function createRecipeTable(save: (suggestedName: string, content: string) => void): RecipeTable {
  const table = createSortableTable('Recipes');
  const all = element('input', { type: 'checkbox', onchange: draw });
  const words = element('p', { class: 'hint', role: 'status' });
  let runs: readonly ComparedRun[] = [];
  let drawn = '';

  const rowsOf = () => recipeRows(runs.map(({ model }) => model.recipe?.entries));

  /** Says why no setting differs. */
  function emptyText(): string {
    if (runs.length < 2) return 'Only one run is shown.';
    const known = runs.filter(({ model }) => model.recipe !== undefined);
    return known.length < 2 ? 'Only one recipe is known.' : 'All settings are equal.';
  }

  function draw(): void {
    const rows = rowsOf();
    const shown = rows.filter(({ differs }) => differs || all.checked);
    const now = JSON.stringify([runs.map(({ model }) => [model.name, model.recipe !== undefined]), shown, rows.length]);
    if (now === drawn) return;
    drawn = now;
    words.hidden = shown.length > 0;
    words.textContent = rows.length === 0 ? '' : emptyText();
    table.element.hidden = shown.length === 0;
    table.update(
      [
        {
          label: 'Setting',
          isNumber: false,
          values: shown.map(({ key }) => key),
          cell: row => element('code', { title: shown[row]?.doc }, shown[row]?.key ?? ''),
        },
        ...runs.map(({ model, runDir }, i) => ({
          label: model.name,
          title: runDir,
          isNumber: false,
          values: shown.map(({ values }) => values[i]),
          cell: (row: number) => {
            const value = shown[row]?.values[i];
            const label = labelOfSetting(shown[row]?.key ?? '', value);
            const code = element('code', { class: 'value' }, value ?? '–');
            return label === undefined ? code : element('span', {}, code, ' ', element('span', { class: 'hint' }, label));
          },
        })),
      ],
      shown.map(({ differs }) => (differs ? '' : 'same')),
    );
  }

  function exportCsv(): void {
    const rows = rowsOf().filter(({ differs }) => differs || all.checked);
    save(
      'compare-recipes.csv',
      csv([['setting', ...runs.map(({ model }) => model.name)], ...rows.map(({ key, values }) => [key, ...values])]),
    );
  }

  return {
    element: element(
      'section',
      { 'aria-label': 'Recipes' },
      element(
        'div',
        { class: 'panel-tools' },
        element('h2', {}, 'Recipes'),
        element('label', { class: 'tool' }, all, 'All settings'),
        element('button', { type: 'button', class: 'secondary', onclick: exportCsv }, 'Export CSV'),
      ),
      words,
      element('div', { class: 'scroll-x', tabindex: 0, role: 'region', 'aria-label': 'Table of recipes' }, table.element),
    ),
    update: next => {
      runs = next;
      draw();
    },
  };
}
