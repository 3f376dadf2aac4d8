/** A table that sorts its rows by the column whose header is clicked. */
import { element, renew } from '../shared/element.ts';
import { sortedPlaces } from './results.ts';

export interface TableColumn {
  readonly label: string;
  readonly title?: string;
  readonly isNumber: boolean;
  /** Sort keys, one per row. */
  readonly values: readonly (number | string | undefined)[];
  readonly cell: (row: number) => HTMLElement | string;
}

export interface Sorting {
  /** The label of the sorted column; '' keeps the original order. */
  readonly by: string;
  readonly direction: 'ascending' | 'descending';
}

export interface SortableTable {
  readonly element: HTMLElement;
  /** Redraws the table. The first column contains the row headers. */
  update(columns: readonly TableColumn[], rowClasses?: readonly string[]): void;
}

export function createSortableTable(caption: string): SortableTable {
  let sorting: Sorting = { by: '', direction: 'ascending' };
  let columns: readonly TableColumn[] = [];
  let classes: readonly string[] = [];
  const head = element('tr', {});
  const body = element('tbody', {});

  function press(label: string): void {
    const isSame = sorting.by === label;
    // Clicks cycle through ascending, descending and original order.
    if (isSame && sorting.direction === 'descending') sorting = { by: '', direction: 'ascending' };
    else sorting = { by: label, direction: isSame ? 'descending' : 'ascending' };
    draw();
    [...head.querySelectorAll('button')].find(button => button.dataset.label === label)?.focus();
  }

  function draw(): void {
    const by = columns.find(({ label }) => label === sorting.by);
    const rows = columns[0]?.values.length ?? 0;
    const places = by ? sortedPlaces(by.values, sorting.direction) : Array.from({ length: rows }, (_, i) => i);
    renew(
      head,
      columns.map(({ label, title, isNumber }) => {
        const isSorted = label === sorting.by;
        const arrow = isSorted ? (sorting.direction === 'ascending' ? ' ▲' : ' ▼') : '';
        const button = element(
          'button',
          { type: 'button', class: 'sort', title, 'data-label': label, onclick: () => press(label) },
          label + arrow,
        );
        return element(
          'th',
          { scope: 'col', class: isNumber ? 'number' : '', 'aria-sort': isSorted ? sorting.direction : undefined },
          button,
        );
      }),
    );
    renew(
      body,
      places.map(row =>
        element(
          'tr',
          { class: classes[row] ?? '' },
          columns.map(({ cell, isNumber }, i) =>
            i === 0 ? element('th', { scope: 'row' }, cell(row)) : element('td', { class: isNumber ? 'number' : '' }, cell(row)),
          ),
        ),
      ),
    );
  }

  return {
    element: element(
      'table',
      { class: 'data' },
      element('caption', { class: 'visually-hidden' }, caption),
      element('thead', {}, head),
      body,
    ),
    update: (next, rowClasses = []) => {
      columns = next;
      classes = rowClasses;
      draw();
    },
  };
}
