/** One metric of all runs by step, as a table: for screen readers, for looking up values, and for export. */
import { grouped } from '../../trainer/protocol/text/format.ts';
import { formatOf, labelOf } from '../../trainer/protocol/text/metric-text.ts';
import { csv } from '../shared/csv.ts';
import { element, fill } from '../shared/element.ts';
import { X_AXES } from '../shared/series/metric-history.ts';
import { createPagedTable, type PagedContent } from '../shared/table/paged-table.ts';
import type { ComparedRun } from './compared-run.ts';
import { metricNames, metricRows, valuesByStep } from './values.ts';

export interface ValuesTable {
  readonly element: HTMLElement;
  update(runs: readonly ComparedRun[]): void;
}

/** Metrics that serve as x axes and are not listed as values. */
const AXES: ReadonlySet<string> = new Set(X_AXES);

/** Number of steps per page. */
const PAGE = 50;

export function createValuesTable(save: (suggestedName: string, content: string) => void): ValuesTable {
  let runs: readonly ComparedRun[] = [];
  const choice = element('select', { 'aria-label': 'Metric', onchange: draw });
  const table = createPagedTable('Values', 'steps', PAGE);
  const exportCsv = (): void => save('compare-values.csv', csv(metricRows(runs)));
  const button = element('button', { type: 'button', class: 'secondary', onclick: exportCsv }, 'Export CSV');
  const details = element(
    'details',
    { ontoggle: draw },
    element('summary', {}, 'Values'),
    element('div', { class: 'panel-tools' }, choice, table.tools, button),
    table.element,
  );

  function updateChoice(): void {
    const names = metricNames(runs.map(({ model }) => model)).filter(name => !AXES.has(name));
    if (names.join() === [...choice.options].map(({ value }) => value).join()) return;
    const { value } = choice;
    fill(
      choice,
      names.map(name => element('option', { value: name }, labelOf(name))),
    );
    choice.value = names.includes(value) ? value : (names[0] ?? '');
  }

  /** Redraws the table; skipped while it is closed. */
  function draw(): void {
    if (!details.open) return;
    updateChoice();
    table.update(pagedValues(runs, choice.value));
  }

  return {
    element: element('section', { 'aria-label': 'Values' }, details),
    update: next => {
      runs = next;
      draw();
    },
  };
}

function pagedValues(runs: readonly ComparedRun[], name: string): PagedContent {
  const { steps, columns } = valuesByStep(
    runs.map(({ model }) => model),
    name,
  );
  const format = formatOf(name);
  const show = (value: number | undefined): string => (value === undefined ? '' : format(value));
  return {
    key: [name, ...runs.map(({ runDir, model }) => `${runDir} ${model.name} ${model.history.generation} ${model.history.length}`)].join(
      '\n',
    ),
    length: steps.length,
    caption: `${labelOf(name)} by step`,
    columns: [{ label: 'Step' }, ...runs.map(({ model, runDir }) => ({ label: model.name, title: runDir }))],
    row: index => {
      const step = steps[index] ?? 0;
      return [grouped(step), ...columns.map(column => show(column.get(step)))];
    },
  };
}
