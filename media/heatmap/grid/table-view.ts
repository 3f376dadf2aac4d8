/** The grid as a table, for screen readers and for copying. It has the same values; each is a button that opens its cell. */
import { element, fill, setText } from '../../shared/element.ts';
import { valueText } from '../cell/cell-facts.ts';
import type { Picture } from '../picture.ts';
import { type Grid, lastParts } from './grid.ts';

export interface TableView {
  readonly element: HTMLElement;
  update(picture: Picture): void;
  /** Focuses the button of a module. */
  focus(module: number): void;
}

export function createTableView(onOpen: (module: number) => void): TableView {
  const table = element('table', { class: 'values' });
  const root = element('div', { class: 'table-view', hidden: true }, table);
  let shown: Grid | undefined;
  root.addEventListener('click', event => {
    const button = event.target instanceof Element ? event.target.closest('button') : null;
    if (button) onOpen(Number(button.dataset.module));
  });
  return {
    element: root,
    focus: module => table.querySelector<HTMLElement>(`[data-module="${module}"]`)?.focus(),
    update(picture) {
      root.hidden = !picture.state.isTable;
      if (root.hidden) return;
      const { grid } = picture;
      // Keep the buttons when values change: one may be pressed or focused.
      if (grid !== shown) fill(table, element('caption'), ...rowsOf(grid));
      shown = grid;
      if (table.caption) setText(table.caption, `${picture.meaning}, by layer and module`);
      for (const button of table.querySelectorAll('button')) {
        const module = Number(button.dataset.module);
        const value = valueText(picture, module);
        setText(button, button.dataset.own ? `${lastParts(picture.names[module] ?? '')} ${value}` : value);
        button.setAttribute('aria-label', `${grid.labels[module]}: ${value}, open`);
      }
    },
  };
}

function rowsOf({ rows, columns, cells }: Grid): HTMLElement[] {
  const head = element(
    'tr',
    {},
    element('th', { scope: 'col' }, 'layer'),
    ...columns.map(({ label }) => element('th', { scope: 'col' }, label)),
  );
  const body = rows.map(({ label, isBlock }, row) =>
    element(
      'tr',
      {},
      element('th', { scope: 'row' }, label),
      ...columns.map((_, column) => {
        const module = cells[row * columns.length + column] ?? -1;
        if (module < 0) return element('td');
        // Modules outside the blocks show their own names.
        return element('td', {}, element('button', { type: 'button', 'data-module': module, 'data-own': isBlock ? undefined : 'name' }));
      }),
    ),
  );
  return [element('thead', {}, head), element('tbody', {}, ...body)];
}
