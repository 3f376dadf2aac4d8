/** The curves as a table: for screen readers, for looking up values, and for export. */
import { grouped } from '../../trainer/protocol/text/format.ts';
import { formatOf, labelOf } from '../../trainer/protocol/text/metric-text.ts';
import { csv } from '../shared/csv.ts';
import { element } from '../shared/element.ts';
import type { RunModel } from '../shared/run-model.ts';
import type { MetricHistory } from '../shared/series/metric-history.ts';
import { createPagedTable } from '../shared/table/paged-table.ts';
import type { View } from './view.ts';

/** Number of lines per page. */
const PAGE = 100;
/** Metrics that come first; the others follow in order of appearance. */
const LEADING = ['step', 'epoch', 'loss', 'learning_rate', 'grad_norm', 'eval_loss'];

/** @param save called with the name and content of a file */
export function createValuesView(save: (suggestedName: string, content: string) => void): View {
  let model: RunModel | undefined;
  const table = createPagedTable('Values', 'lines', PAGE);
  const exportCsv = (): void => {
    if (model) save(`${model.name}-metrics.csv`, valuesCsv(model.history));
  };
  const button = element('button', { type: 'button', class: 'secondary', onclick: exportCsv }, 'Export CSV');
  return {
    element: element('div', { class: 'values' }, element('div', { class: 'panel-tools' }, table.tools, button), table.element),
    update: next => {
      if (next !== model) table.reset();
      model = next;
      const { history } = next;
      const names = columnNames(history);
      table.update({
        key: `${history.generation}`,
        length: history.length,
        caption: 'Metrics by step',
        columns: names.map(name => ({ label: labelOf(name) })),
        row: index => rowTexts(history.row(index), names),
      });
    },
  };
}

function columnNames({ names }: MetricHistory): readonly string[] {
  const leading = LEADING.filter(name => names.includes(name));
  return [...leading, ...names.filter(name => !leading.includes(name) && name !== 'train_seconds')];
}

const rowTexts = (row: Readonly<Record<string, number>>, names: readonly string[]): readonly string[] =>
  names.map(name => {
    const value = row[name];
    return value === undefined ? '' : name === 'step' ? grouped(value) : formatOf(name)(value);
  });

function valuesCsv(history: MetricHistory): string {
  const names = columnNames(history);
  const rows = Array.from({ length: history.length }, (_, i) => {
    const row = history.row(i);
    return names.map(name => row[name]);
  });
  return csv([names, ...rows]);
}
