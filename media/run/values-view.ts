/** The curves as a table: for screen readers, for looking up a value, and for export. */
import { grouped } from '../../trainer/protocol/format.ts';
import { csv } from '../shared/csv.ts';
import { element, fill, setText } from '../shared/element.ts';
import { formatOf, labelOf } from '../shared/metric-names.ts';
import type { RunModel } from '../shared/run-model.ts';
import type { View } from './view.ts';

const PAGE = 100;
/** These come first, then the rest in order of appearance. */
const LEADING = ['step', 'epoch', 'loss', 'learning_rate', 'grad_norm', 'eval_loss'];

/** @param save receives the name and the content of a file */
export function createValuesView(save: (suggestedName: string, content: string) => void): View {
  let model: RunModel | undefined;
  /** The first row shown; undefined shows the newest rows. */
  let first: number | undefined;
  let drawn = '';
  const head = element('tr', {});
  const body = element('tbody', {});
  const where = element('span', { class: 'hint' });
  /** Announced when the user turns the page, not with every new line. */
  const told = element('span', { class: 'visually-hidden', 'aria-live': 'polite' });
  const older = element('button', { type: 'button', class: 'secondary', onclick: () => turn(-PAGE) }, 'Earlier');
  const newer = element('button', { type: 'button', class: 'secondary', onclick: () => turn(PAGE) }, 'Later');

  const names = (): string[] => {
    const all = model?.history.names ?? [];
    const leading = LEADING.filter(name => all.includes(name));
    return [...leading, ...all.filter(name => !leading.includes(name) && name !== 'train_seconds')];
  };

  function turn(by: number): void {
    const length = model?.history.length ?? 0;
    const at = Math.max(0, (first ?? Math.max(0, length - PAGE)) + by);
    first = at + PAGE >= length ? undefined : at;
    draw();
    setText(told, where.textContent ?? '');
  }

  function draw(): void {
    if (!model) return;
    const { history } = model;
    const from = first ?? Math.max(0, history.length - PAGE);
    const to = Math.min(history.length, from + PAGE);
    const now = `${history.generation} ${from} ${to}`;
    if (now === drawn) return;
    drawn = now;
    const columns = names();
    fill(
      head,
      columns.map(name => element('th', { scope: 'col', class: 'number' }, labelOf(name))),
    );
    fill(
      body,
      Array.from({ length: to - from }, (_, i) => {
        const row = history.row(from + i);
        const text = (name: string): string => {
          const value = row[name];
          return value === undefined ? '' : name === 'step' ? grouped(value) : formatOf(name)(value);
        };
        return element(
          'tr',
          {},
          columns.map((name, column) =>
            element(column === 0 ? 'th' : 'td', { class: 'number', scope: column === 0 ? 'row' : undefined }, text(name)),
          ),
        );
      }),
    );
    setText(where, history.length === 0 ? 'no values yet' : `lines ${grouped(from + 1)} to ${grouped(to)} of ${grouped(history.length)}`);
    older.disabled = from === 0;
    newer.disabled = first === undefined;
  }

  function exportCsv(): void {
    if (!model) return;
    const { history, name } = model;
    const columns = names();
    const rows = Array.from({ length: history.length }, (_, i) => {
      const row = history.row(i);
      return columns.map(column => row[column]);
    });
    save(`${name}-metrics.csv`, csv([columns, ...rows]));
  }

  return {
    element: element(
      'div',
      { class: 'values' },
      element(
        'div',
        { class: 'panel-tools' },
        older,
        newer,
        where,
        told,
        element('button', { type: 'button', class: 'secondary', onclick: exportCsv }, 'Export CSV'),
      ),
      element(
        'div',
        { class: 'scroll-x', tabindex: 0, role: 'region', 'aria-label': 'Values' },
        element(
          'table',
          { class: 'data' },
          element('caption', { class: 'visually-hidden' }, 'Metrics by step'),
          element('thead', {}, head),
          body,
        ),
      ),
    ),
    update: next => {
      if (next !== model) first = undefined;
      model = next;
      draw();
    },
  };
}
