/** The recipe of the run with every default filled in. */
import { labelOfSetting } from '../../trainer/catalog/labels.ts';
import type { RunAction } from '../../trainer/protocol/view/run.ts';
import { element, fill } from '../shared/element.ts';
import type { View } from './view.ts';

export function createRecipeView(act: (action: RunAction) => void): View {
  const changedOnly = element('input', { type: 'checkbox', onchange: draw });
  const body = element('tbody', {});
  const root = element(
    'div',
    { class: 'recipe' },
    element(
      'div',
      { class: 'panel-tools' },
      element('label', { class: 'tool' }, changedOnly, 'Only changes from the defaults'),
      element('button', { type: 'button', class: 'secondary', onclick: () => act('recipe') }, 'Open recipe.yaml'),
    ),
    element('table', { class: 'data' }, element('caption', { class: 'visually-hidden' }, 'Recipe'), body),
  );
  let entries: Parameters<View['update']>[0]['recipe'];

  function draw(): void {
    // Settings given in the recipe come first, then defaults.
    const all = entries?.entries ?? [];
    const shown = [...all.filter(({ isDefault }) => !isDefault), ...(changedOnly.checked ? [] : all.filter(({ isDefault }) => isDefault))];
    fill(
      body,
      shown.map(({ key, value, isDefault, doc }) =>
        element(
          'tr',
          { class: isDefault ? 'default' : '' },
          element('th', { scope: 'row', title: doc }, element('code', {}, key)),
          element('td', {}, element('code', { class: 'value' }, value)),
          element('td', { class: 'hint' }, [labelOfSetting(key, value), isDefault ? 'default' : undefined].filter(Boolean).join(' · ')),
        ),
      ),
    );
  }

  return {
    element: root,
    update: ({ recipe }) => {
      if (recipe === entries) return;
      entries = recipe;
      draw();
    },
  };
}
