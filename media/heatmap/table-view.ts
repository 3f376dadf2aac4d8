/** The grid as a table, for screen readers and for copying: the same values, each a button that opens its cell. */
import { element, fill } from '../shared/element.ts';
import { valueText } from './cell-facts.ts';
import { lastParts } from './grid.ts';
import type { Picture } from './picture.ts';

export interface TableView {
  readonly element: HTMLElement;
  update(picture: Picture): void;
}

export function createTableView(onOpen: (module: number) => void): TableView {
  const table = element('table', { class: 'values' });
  const root = element('div', { class: 'table-view', hidden: true }, table);
  root.addEventListener('click', event => {
    const button = event.target instanceof Element ? event.target.closest('button') : null;
    if (button) onOpen(Number(button.dataset.module));
  });
  return {
    element: root,
    update(picture) {
      root.hidden = !picture.state.isTable;
      if (root.hidden) return;
      const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.module : undefined;
      fill(table, element('caption', {}, `${picture.meaning} of each layer (rows) and module (columns)`), ...rowsOf(picture));
      if (focused !== undefined) table.querySelector<HTMLElement>(`[data-module="${Number(focused)}"]`)?.focus();
    },
  };
}

function rowsOf(picture: Picture): HTMLElement[] {
  const { rows, columns, cells } = picture.grid;
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
        const own = isBlock ? '' : `${lastParts(picture.names[module] ?? '')} `;
        const spoken = `${picture.grid.labels[module]}: ${valueText(picture, module)}, open`;
        return element(
          'td',
          {},
          element('button', { type: 'button', 'data-module': module, 'aria-label': spoken }, `${own}${valueText(picture, module)}`),
        );
      }),
    ),
  );
  return [element('thead', {}, head), element('tbody', {}, ...body)];
}
