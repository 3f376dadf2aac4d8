/** One question and its answers, side by side. */
import { compact, percent } from '../../trainer/protocol/text/format.ts';
import type { TryAnswer, TryEntity, TryLabel, TryNearText, TryPicture, TryRound } from '../../trainer/protocol/view/try.ts';
import { element, fill, setText } from '../shared/element.ts';
import { type Bar, barTable } from '../shared/table/bar-table.ts';
import { comparisonElements } from './comparison-view.ts';
import { entityPieces } from './entity-pieces.ts';
import { SIDES } from './try-state.ts';

const STATES: Readonly<Record<TryAnswer['state'], string>> = {
  waiting: 'waiting',
  loading: 'loading',
  writing: 'writing',
  done: '',
  stopped: 'stopped',
  failed: 'failed',
};

export interface RoundView {
  readonly element: HTMLElement;
  /** True if this is the view of the question, whose answers may have changed. */
  isOf(round: TryRound): boolean;
  update(round: TryRound): void;
}

export function createRound(first: TryRound): RoundView {
  const { prompt, images = [] } = first;
  const answers = first.answers.map(answer => createAnswer(answer, prompt));
  return {
    isOf: round => round.prompt === prompt && JSON.stringify(round.images ?? []) === JSON.stringify(images),
    element: element(
      'article',
      { class: 'round' },
      element('pre', { class: 'prompt', 'aria-label': 'Prompt' }, prompt),
      images.length > 0
        ? element(
            'ul',
            { class: 'pictures', 'aria-label': 'Images of the prompt' },
            images.map(image => element('li', {}, pictureElement(image))),
          )
        : undefined,
      element(
        'div',
        { class: 'answers' },
        answers.map(view => view.element),
      ),
    ),
    update: round => {
      for (const [i, answer] of round.answers.entries()) answers[i]?.update(answer);
    },
  };
}

/** The thumbnail of an image, or its name if there is none anymore. */
export const pictureElement = ({ name, thumbnail }: TryPicture): HTMLElement =>
  thumbnail === undefined
    ? element('span', { class: 'picture-name' }, name)
    : element('img', { class: 'picture', src: thumbnail, alt: name, title: name });

function createAnswer(first: TryAnswer, prompt: string) {
  const text = document.createTextNode(first.text);
  const content = element('pre', { class: 'text' }, text);
  const thought = document.createTextNode('');
  const reasoning = element(
    'details',
    { class: 'reasoning', hidden: true },
    element('summary', {}, 'Reasoning'),
    element('pre', {}, thought),
  );
  const labelTable = element('div', { hidden: true });
  const list = element('ol', { class: 'nearest', hidden: true });
  const comparison = element('div', { class: 'comparison', hidden: true });
  const title = document.createTextNode(SIDES[first.side]);
  const note = element('span', { class: 'note' });
  const box = element(
    'section',
    { class: 'answer', 'aria-label': SIDES[first.side] },
    element('h2', {}, title, ' ', note),
    reasoning,
    content,
    labelTable,
    list,
    comparison,
  );
  const update = ({ text: whole, reasoning: before = '', state, note: more, entities, labels, nearest, compared }: TryAnswer): void => {
    grow(text, whole);
    grow(thought, before);
    reasoning.hidden = before === '';
    if (entities) fill(content, labeled(prompt, entities));
    if (labels) fill(labelTable, barTable('Labels of the text', ['Label', 'Probability'], labels.map(labelBar)));
    labelTable.hidden = labels === undefined;
    if (nearest) fill(list, nearest.map(nearItem));
    list.hidden = nearest === undefined;
    if (compared) {
      fill(comparison, comparisonElements(compared));
      setText(title, 'Answers of the sample');
      box.setAttribute('aria-label', 'Answers of the sample');
    }
    comparison.hidden = compared === undefined;
    content.hidden = [labels, nearest, compared].some(found => found !== undefined);
    box.dataset.state = state;
    box.setAttribute('aria-busy', String(['waiting', 'loading', 'writing'].includes(state)));
    // A waiting answer shows what it waits for.
    const words = more !== undefined && (state === 'waiting' || state === 'loading') ? [more] : [STATES[state], more];
    setText(note, words.filter(Boolean).join(': '));
  };
  update(first);
  return { element: box, update };
}

/** Extends a growing text, because setting a new string would lay it out again. */
function grow(text: Text, whole: string): void {
  if (whole.startsWith(text.data)) text.appendData(whole.slice(text.length));
  else text.data = whole;
}

/** The prompt with its entities marked: a color for each type, and the type's name after each entity. */
const labeled = (prompt: string, entities: readonly TryEntity[]): (Node | string)[] =>
  entityPieces(prompt, entities).map(({ text, entity, color }) =>
    entity === undefined
      ? text
      : element(
          'mark',
          { class: `entity swatch-${color}`, title: `${entity.type}, probability ${percent(entity.score)}` },
          text,
          element('span', { class: 'entity-type' }, entity.type),
        ),
  );

const labelBar = ({ label, probability }: TryLabel): Bar => ({ name: label, text: percent(probability), share: probability });

/** A text of the data with a bar that shows its similarity. */
function nearItem({ text, similarity }: TryNearText): HTMLElement {
  const bar = element('span', { class: 'similarity-bar', 'aria-hidden': 'true' });
  bar.style.width = `${100 * Math.max(0, similarity)}%`;
  return element(
    'li',
    {},
    element('span', { class: 'similarity', title: 'Cosine similarity' }, element('span', {}, compact(similarity)), bar),
    element('span', { class: 'near-text' }, text),
  );
}
