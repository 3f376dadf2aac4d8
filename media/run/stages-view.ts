/** The stages before the first update, shown instead of the curves. */
import { element, fill } from '../shared/element.ts';
import { type Stage, stagesOf } from './stages.ts';
import type { View } from './view.ts';

const MARKS: Readonly<Record<Stage['state'], string>> = { done: '✓', now: '', next: '' };
const WORDS: Readonly<Record<Stage['state'], string>> = { done: 'done: ', now: 'now: ', next: 'pending: ' };

export function createStages(): View {
  const list = element('ol', { class: 'stage-list' });
  const root = element('section', { class: 'stages', 'aria-label': 'Before the first update', hidden: true }, list);
  let shown = '';
  return {
    element: root,
    update: model => {
      const stages = stagesOf(model);
      root.hidden = stages.length === 0;
      const now = JSON.stringify(stages);
      if (now === shown) return;
      shown = now;
      fill(list, stages.map(item));
    },
  };
}

function item({ text, state, detail, share }: Stage): HTMLElement {
  const bar = share === undefined ? undefined : element('progress', { class: 'stage-bar', max: 1, value: share, 'aria-hidden': 'true' });
  return element(
    'li',
    { class: `stage stage-${state}` },
    element('span', { class: 'stage-mark', 'aria-hidden': 'true' }, MARKS[state]),
    element('span', { class: 'stage-text' }, element('span', { class: 'visually-hidden' }, WORDS[state]), text),
    element('span', { class: 'stage-detail' }, detail),
    bar,
  );
}
