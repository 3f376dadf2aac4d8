/** The results of each run, one row per run; the best value of each column is highlighted. */
import { labelIn } from '../../trainer/catalog/labels.ts';
import { csv } from '../shared/csv.ts';
import { element } from '../shared/element.ts';
import { curveLook } from '../shared/series/curve-look.ts';
import type { ComparedRun } from './compare-curves.ts';
import { bestOf, resultColumns } from './results.ts';
import { createSortableTable } from './sortable-table.ts';

export interface ResultActions {
  open(runDir: string): void;
  remove(runDir: string): void;
  show(runDir: string, isShown: boolean): void;
  save(suggestedName: string, content: string): void;
}

export interface ResultTable {
  readonly element: HTMLElement;
  update(runs: readonly ComparedRun[]): void;
}

export function createResultTable({ open, remove, show, save }: ResultActions): ResultTable {
  const table = createSortableTable('Results');
  let runs: readonly ComparedRun[] = [];
  let drawn = '';

  function exportCsv(): void {
    const columns = resultColumns(runs.map(({ model }) => model));
    const rows = runs.map(({ model, runDir }, i) => [
      model.name,
      runDir,
      model.overview?.state,
      methodOf(model),
      ...columns.map(({ values }) => values[i]),
    ]);
    save('compare-results.csv', csv([['run', 'folder', 'state', 'method', ...columns.map(({ id }) => id)], ...rows]));
  }

  function nameCell({ runDir, model, look, isShown }: ComparedRun): HTMLElement {
    const { color, dash } = curveLook(look);
    return element(
      'span',
      { class: 'compared-run' },
      element('input', {
        type: 'checkbox',
        checked: isShown,
        'aria-label': `Show the curves of ${model.name}`,
        onchange: (event: Event) => show(runDir, (event.target as HTMLInputElement).checked),
      }),
      element('span', { class: `swatch swatch-${color} swatch-dash-${dash[0] ?? 0}` }),
      element('button', { type: 'button', class: 'link', title: `Open ${runDir}`, onclick: () => open(runDir) }, model.name),
    );
  }

  return {
    element: element(
      'section',
      { 'aria-label': 'Results' },
      element(
        'div',
        { class: 'panel-tools' },
        element('h2', {}, 'Results'),
        element('button', { type: 'button', class: 'secondary', onclick: exportCsv }, 'Export CSV'),
      ),
      element('div', { class: 'scroll-x', tabindex: 0, role: 'region', 'aria-label': 'Results' }, table.element),
    ),
    update: next => {
      runs = next;
      const columns = resultColumns(runs.map(({ model }) => model));
      // A button must not disappear under the pointer because of numbers that did not change.
      const now = JSON.stringify([
        runs.map(({ runDir, model, isShown, look }) => [runDir, model.name, stateOf(model), methodOf(model), isShown, look]),
        columns,
      ]);
      if (now === drawn) return;
      drawn = now;
      table.update([
        { label: 'Run', isNumber: false, values: runs.map(({ model }) => model.name), cell: row => (runs[row] ? nameCell(runs[row]) : '') },
        { label: 'State', isNumber: false, values: runs.map(({ model }) => stateOf(model)), cell: row => stateOf(runs[row]?.model) },
        {
          label: 'Method',
          isNumber: false,
          values: runs.map(({ model }) => methodOf(model)),
          cell: row => methodOf(runs[row]?.model) ?? '–',
        },
        ...columns.map(column => {
          const best = bestOf(column);
          return {
            label: column.label,
            isNumber: true,
            values: column.values,
            cell: (row: number) => {
              const value = column.values[row];
              const text = value === undefined ? '–' : column.format(value);
              return best.has(row) ? element('strong', { title: 'best' }, text) : text;
            },
          };
        }),
        { label: 'Remove', isNumber: false, values: runs.map(() => ''), cell: row => removeButton(runs[row]) },
      ]);
    },
  };

  function removeButton(run: ComparedRun | undefined): HTMLElement | string {
    if (!run) return '';
    const title = `Remove ${run.model.name} from the comparison`;
    return element('button', { type: 'button', class: 'link', title, 'aria-label': title, onclick: () => remove(run.runDir) }, '✕');
  }
}

const methodOf = (model: ComparedRun['model'] | undefined): string | undefined => {
  const method = model?.setting('method') ?? model?.overview?.method;
  return method === undefined ? undefined : labelIn('method', method);
};
const stateOf = (model: ComparedRun['model'] | undefined): string => model?.overview?.state ?? (model?.missing ? 'missing' : '…');
