/** One metric of all runs by step, as a table: for screen readers, for looking up a value, and for export. */
import { grouped } from '../../trainer/protocol/format.ts';
import { csv } from '../shared/csv.ts';
import { element, fill, setText } from '../shared/element.ts';
import { formatOf, labelOf } from '../shared/metric-names.ts';
import { X_AXES } from '../shared/series/metric-history.ts';
import type { ComparedRun } from './compare-curves.ts';
import { metricNames, metricRows, valuesByStep } from './values.ts';

export interface ValuesTable {
  readonly element: HTMLElement;
  update(runs: readonly ComparedRun[]): void;
}

/** The x axis of the values. */
const AXES: ReadonlySet<string> = new Set(X_AXES);

/** Steps per page. */
const PAGE = 50;

export function createValuesTable(save: (suggestedName: string, content: string) => void): ValuesTable {
  let runs: readonly ComparedRun[] = [];
  /** The first row shown; undefined shows the newest rows. */
  let first: number | undefined;
  let drawn = '';
  const choice = element('select', { 'aria-label': 'Metric', onchange: draw });
  const head = element('tr', {});
  const body = element('tbody', {});
  const caption = element('caption', { class: 'visually-hidden' });
  const where = element('span', { class: 'hint' });
  /** Announced when the user turns the page, not with every new line. */
  const told = element('span', { class: 'visually-hidden', 'aria-live': 'polite' });
  const earlier = element('button', { type: 'button', class: 'secondary', onclick: () => turn(-PAGE) }, 'Earlier');
  const later = element('button', { type: 'button', class: 'secondary', onclick: () => turn(PAGE) }, 'Later');
  const details = element(
    'details',
    { ontoggle: draw },
    element('summary', {}, 'Values'),
    element(
      'div',
      { class: 'panel-tools' },
      choice,
      earlier,
      later,
      where,
      told,
      element('button', { type: 'button', class: 'secondary', onclick: exportCsv }, 'Export CSV'),
    ),
    element(
      'div',
      { class: 'scroll-x', tabindex: 0, role: 'region', 'aria-label': 'Values' },
      element('table', { class: 'data' }, caption, element('thead', {}, head), body),
    ),
  );
  let length = 0;

  function turn(by: number): void {
    const at = Math.max(0, (first ?? Math.max(0, length - PAGE)) + by);
    first = at + PAGE >= length ? undefined : at;
    draw();
    setText(told, where.textContent ?? '');
  }

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

  /** A closed table costs nothing. */
  function draw(): void {
    if (!details.open) return;
    updateChoice();
    const name = choice.value;
    const lengths = runs.map(({ runDir, model }) => `${runDir} ${model.name} ${model.history.generation} ${model.history.length}`);
    const now = [name, first, ...lengths].join('\n');
    if (now === drawn) return;
    drawn = now;
    const { steps, columns } = valuesByStep(
      runs.map(({ model }) => model),
      name,
    );
    length = steps.length;
    const from = first ?? Math.max(0, length - PAGE);
    const to = Math.min(length, from + PAGE);
    const format = formatOf(name);
    setText(caption, `${labelOf(name)} by step`);
    fill(head, [
      element('th', { scope: 'col', class: 'number' }, 'Step'),
      ...runs.map(({ model, runDir }) => element('th', { scope: 'col', class: 'number', title: runDir }, model.name)),
    ]);
    fill(
      body,
      steps.slice(from, to).map(step =>
        element(
          'tr',
          {},
          element('th', { scope: 'row', class: 'number' }, grouped(step)),
          columns.map(column => {
            const value = column.get(step);
            return element('td', { class: 'number' }, value === undefined ? '' : format(value));
          }),
        ),
      ),
    );
    setText(where, length === 0 ? 'no values yet' : `steps ${grouped(from + 1)} to ${grouped(to)} of ${grouped(length)}`);
    earlier.disabled = from === 0;
    later.disabled = first === undefined;
  }

  function exportCsv(): void {
    save('compare-values.csv', csv(metricRows(runs)));
  }

  return {
    element: element('section', { 'aria-label': 'Values' }, details),
    update: next => {
      runs = next;
      draw();
    },
  };
}
