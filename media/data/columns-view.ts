/** The columns of the data and the field that each provides. The user's choice is written into the recipe. */
import type { SamplePage } from '../../trainer/protocol/view/data.ts';
import { element, fill } from '../shared/element.ts';
import type { DataState } from './data-state.ts';

/** Returns the mapping from the form: only the fields that come from another column. */
function mappingOf(chosen: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(chosen).filter(([role, column]) => column !== '' && column !== role));
}

export function createColumnsView(apply: (columns: Readonly<Record<string, string>>) => void): {
  readonly element: HTMLElement;
  update(state: DataState): void;
} {
  const form = element('form', { class: 'columns', onsubmit: submit });
  let fields: readonly { readonly role: string; readonly select: HTMLSelectElement }[] = [];
  let shown = '';

  function submit(event: Event): void {
    event.preventDefault();
    apply(mappingOf(Object.fromEntries(fields.map(({ role, select }) => [role, select.value]))));
  }

  function draw({ columns, roles, mapping }: SamplePage): void {
    fields = roles.map(role => {
      const chosen = mapping[role] ?? (columns.some(({ name }) => name === role) ? role : '');
      const select = element(
        'select',
        { id: `column-${role}` },
        element('option', { value: '', selected: chosen === '' }, '(none)'),
        columns.map(({ name }) => element('option', { value: name, selected: name === chosen }, name)),
      );
      return { role, select };
    });
    fill(
      form,
      element(
        'p',
        {},
        'Choose the column of each field where the names of the data are others. The choice is written to data.columns in the recipe.',
      ),
      fields.map(({ role, select }) => element('p', { class: 'field' }, element('label', { for: `column-${role}` }, role), select)),
      element('button', { class: 'primary', type: 'submit' }, 'Write to recipe'),
      element(
        'table',
        { class: 'data' },
        element('caption', {}, 'Columns of the first sample'),
        element(
          'tbody',
          {},
          columns.map(({ name, example }) => element('tr', {}, element('th', { scope: 'row' }, name), element('td', {}, example))),
        ),
      ),
    );
  }

  return {
    element: form,
    update({ page }) {
      if (!page) return;
      const now = JSON.stringify([page.columns, page.roles, page.mapping]);
      if (now === shown) return;
      shown = now;
      if (page.columns.length > 0) draw(page);
      else fill(form, element('p', { class: 'hint' }, 'This data has no columns.'));
    },
  };
}
