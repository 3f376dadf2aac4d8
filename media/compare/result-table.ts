/** The results of each run, one row per run; the best value of each column is highlighted. */
import { methodLabel } from '../../trainer/catalog/labels.ts';
import { csv } from '../shared/csv.ts';
import { element } from '../shared/element.ts';
import { curveLook } from '../shared/series/curve-look.ts';
import type { ComparedRun } from './compared-run.ts';
import { bestOf, type ResultColumn, resultColumns } from './results.ts';
import { createSortableTable, type TableColumn } from './sortable-table.ts';

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

export function createResultTable(actions: ResultActions): ResultTable {
  const table = createSortableTable('Results');
  let runs: readonly ComparedRun[] = [];
  let drawn = '';
  const exportCsv = (): void => actions.save('compare-results.csv', resultCsv(runs));
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
      element('div', { class: 'scroll-x', tabindex: 0, role: 'region', 'aria-label': 'Table of results' }, table.element),
    ),
    update: next => {
      runs = next;
      const columns = resultColumns(runs.map(({ model }) => model));
      // Redraw only if something changed, because a redraw would replace a button under the pointer.
      const now = JSON.stringify([
        runs.map(({ runDir, model, isShown, look }) => [
          runDir,
          model.name,
          stateOf(model),
          clusterText(model),
          methodOf(model),
          isShown,
          look,
        ]),
        columns,
      ]);
      if (now === drawn) return;
      drawn = now;
      table.update(tableColumns(runs, columns, actions));
    },
  };
}

function tableColumns(runs: readonly ComparedRun[], columns: readonly ResultColumn[], actions: ResultActions): readonly TableColumn[] {
  const text = (label: string, textOf: (model: ComparedRun['model']) => string | undefined): TableColumn => {
    const values = runs.map(({ model }) => textOf(model));
    return { label, isNumber: false, values, cell: row => values[row] ?? '–' };
  };
  return [
    {
      label: 'Run',
      isNumber: false,
      values: runs.map(({ model }) => model.name),
      cell: row => (runs[row] ? nameCell(runs[row], actions) : ''),
    },
    text('State', stateOf),
    ...(runs.some(({ model }) => model.overview?.cluster) ? [text('Cluster', clusterText)] : []),
    text('Method', methodOf),
    ...columns.map(numberColumn),
    { label: 'Remove', isNumber: false, values: runs.map(() => ''), cell: row => (runs[row] ? removeButton(runs[row], actions) : '') },
  ];
}

function numberColumn(column: ResultColumn): TableColumn {
  const best = bestOf(column);
  return {
    label: column.label,
    isNumber: true,
    values: column.values,
    cell: row => {
      const value = column.values[row];
      const text = value === undefined ? '–' : column.format(value);
      return best.has(row) ? element('strong', { title: 'best' }, text) : text;
    },
  };
}

function nameCell({ runDir, model, look, isShown }: ComparedRun, { open, show }: ResultActions): HTMLElement {
  const { color, dash } = curveLook(look);
  const box = element('input', {
    type: 'checkbox',
    checked: isShown,
    'aria-label': `Show the curves of ${model.name}`,
    onchange: () => show(runDir, box.checked),
  });
  return element(
    'span',
    { class: 'compared-run' },
    box,
    element('span', { class: `swatch swatch-${color} swatch-dash-${dash[0] ?? 0}` }),
    element('button', { type: 'button', class: 'link', title: `Open ${runDir}`, onclick: () => open(runDir) }, model.name),
  );
}

function removeButton({ runDir, model }: ComparedRun, { remove }: ResultActions): HTMLElement {
  const title = `Remove ${model.name} from the comparison`;
  return element('button', { type: 'button', class: 'link', title, 'aria-label': title, onclick: () => remove(runDir) }, '✕');
}

function resultCsv(runs: readonly ComparedRun[]): string {
  const columns = resultColumns(runs.map(({ model }) => model));
  const isPlaced = runs.some(({ model }) => model.overview?.cluster);
  const rows = runs.map(({ model, runDir }, i) => [
    model.name,
    runDir,
    model.overview?.state,
    ...(isPlaced ? [clusterText(model)] : []),
    methodOf(model),
    ...columns.map(({ values }) => values[i]),
  ]);
  return csv([['run', 'folder', 'state', ...(isPlaced ? ['cluster'] : []), 'method', ...columns.map(({ id }) => id)], ...rows]);
}

const methodOf = (model: ComparedRun['model'] | undefined): string | undefined => {
  const method = model?.setting('method') ?? model?.overview?.method;
  return method === undefined ? undefined : methodLabel(method, model?.setting('trains'));
};
const clusterText = (model: ComparedRun['model'] | undefined): string | undefined => model?.overview?.cluster?.text;
const stateOf = (model: ComparedRun['model'] | undefined): string => model?.overview?.state ?? (model?.missing ? 'missing' : '…');
