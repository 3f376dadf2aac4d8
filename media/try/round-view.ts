/** One question and its answers, side by side. */
import type { TryAnswer, TryRound, TrySide } from '../../trainer/protocol/view/try.ts';
import { element, setText } from '../shared/element.ts';

const TITLES: Readonly<Record<TrySide, string>> = { base: 'Base model', tuned: 'Tuned' };
const STATES: Readonly<Record<TryAnswer['state'], string>> = {
  waiting: 'waits',
  loading: 'loading',
  writing: 'writing',
  done: '',
  stopped: 'stopped',
  failed: 'failed',
};

export interface RoundView {
  readonly element: HTMLElement;
  update(answer: TryAnswer): void;
  append(side: TrySide, chunk: string): void;
}

interface AnswerView {
  readonly element: HTMLElement;
  update(answer: TryAnswer): void;
  append(chunk: string): void;
}

export function createRound({ prompt, answers }: TryRound): RoundView {
  const views = new Map(answers.map(answer => [answer.side, createAnswer(answer)]));
  return {
    element: element(
      'article',
      { class: 'round' },
      element('pre', { class: 'prompt', 'aria-label': 'Prompt' }, prompt),
      element(
        'div',
        { class: 'answers' },
        [...views.values()].map(view => view.element),
      ),
    ),
    update: answer => views.get(answer.side)?.update(answer),
    append: (side, chunk) => views.get(side)?.append(chunk),
  };
}

function createAnswer(first: TryAnswer): AnswerView {
  // One growing text node: a long answer is not laid out again as a new string each time.
  const text = document.createTextNode(first.text);
  const note = element('span', { class: 'note' });
  const box = element(
    'section',
    { class: 'answer', 'aria-label': TITLES[first.side] },
    element('h2', {}, TITLES[first.side], ' ', note),
    element('pre', { class: 'text' }, text),
  );
  const update = ({ text: whole, state, note: more }: TryAnswer): void => {
    if (text.data !== whole) text.data = whole;
    box.dataset.state = state;
    box.setAttribute('aria-busy', String(['waiting', 'loading', 'writing'].includes(state)));
    // A waiting answer shows what it waits for.
    const words = more !== undefined && (state === 'waiting' || state === 'loading') ? [more] : [STATES[state], more];
    setText(note, words.filter(Boolean).join(': '));
  };
  update(first);
  return { element: box, update, append: chunk => text.appendData(chunk) };
}
