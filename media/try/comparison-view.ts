/** The answers of a sample side by side, with their scores before and after tuning. */
import { counted } from '../../trainer/protocol/text/format.ts';
import type { ComparedSample } from '../../trainer/protocol/view/compared-sample.ts';
import { SIDE_NAMES } from '../../trainer/protocol/view/data.ts';
import { element } from '../shared/element.ts';
import { MEASURES, modelsOf, scoreRows, verdictOf } from './comparison.ts';
import { SIDES } from './try-state.ts';

export const comparisonElements = (sample: ComparedSample): HTMLElement[] => [
  element('pre', { class: 'prompt', 'aria-label': 'Prompt of the sample' }, sample.prompt),
  element(
    'div',
    { class: 'answers' },
    sample.answers.map(({ side, text, tokens }) =>
      element(
        'section',
        { class: 'answer', 'aria-label': SIDE_NAMES[side] },
        element('h3', {}, SIDE_NAMES[side], ' ', element('span', { class: 'note' }, counted(tokens, 'token'))),
        element('pre', {}, text),
      ),
    ),
  ),
  scoreTable(sample),
  element('p', { class: 'verdict' }, verdictOf(sample)),
];

const scoreTable = (sample: ComparedSample): HTMLElement =>
  element(
    'table',
    { class: 'scores' },
    element('caption', {}, MEASURES[sample.measure]),
    element(
      'thead',
      {},
      element(
        'tr',
        {},
        element('td', {}),
        modelsOf(sample).map(model => element('th', { scope: 'col' }, SIDES[model])),
      ),
    ),
    element(
      'tbody',
      {},
      scoreRows(sample).map(({ name, scores }) =>
        element(
          'tr',
          {},
          element('th', { scope: 'row' }, name),
          scores.map(score => element('td', {}, score)),
        ),
      ),
    ),
  );
