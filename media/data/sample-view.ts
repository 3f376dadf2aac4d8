/** A sample as the model sees it. The use of tokens is shown by color, by line, and by words for screen readers. */
import { counted } from '../../trainer/protocol/text/format.ts';
import {
  isJudgedWhole,
  type ShownImage,
  type ShownSample,
  type ShownSequence,
  type ShownToken,
  type TokenRun,
  type TokenUse,
} from '../../trainer/protocol/view/data.ts';
import { element } from '../shared/element.ts';
import { sampleTitle, sequenceTitle } from './data-state.ts';

export const USES: Readonly<Record<TokenUse, { readonly label: string; readonly title: string }>> = {
  trained: { label: 'trained', title: 'The model learns to write these tokens.' },
  context: { label: 'context', title: 'The model reads these tokens; the loss does not count them.' },
  cut: { label: 'cut off', title: 'The sample is longer than max_length, and the model never sees these tokens.' },
};

export type OpenPlace = (place: { readonly file: string; readonly line?: number | undefined }) => void;

export function sampleElement(sample: ShownSample, open: OpenPlace): HTMLElement {
  const { state, reason, notes, labels, sequences, picture, images = [] } = sample;
  const title = sampleTitle(sample);
  return element(
    'article',
    { class: 'sample', 'data-state': state, 'aria-label': title },
    element(
      'header',
      {},
      element('h3', {}, element('button', { class: 'link', type: 'button', title: sample.file, onclick: () => open(sample) }, title)),
      labels?.map(label => element('span', { class: 'label' }, label)),
      state === 'kept' ? undefined : element('strong', { class: 'state' }, state === 'dropped' ? 'Left out' : 'Malformed'),
    ),
    reason === undefined ? undefined : element('p', { class: 'reason' }, reason),
    notes.map(note => element('p', { class: 'hint' }, note)),
    picture &&
      element('img', {
        src: picture.src,
        width: picture.width,
        height: picture.height,
        alt: `Image of the class ${labels?.join(', ') ?? ''}`,
      }),
    images.length > 0 ? imagesElement(images) : undefined,
    sequences.map(sequence => sequenceElement(sequence, isJudgedWhole(sample))),
  );
}

/** The number of images, and each with its name; the first ones are shown. */
const imagesElement = (images: readonly ShownImage[]): HTMLElement =>
  element(
    'section',
    {},
    element('p', { class: 'hint' }, counted(images.length, 'image')),
    element(
      'ul',
      { class: 'sample-images', 'aria-label': 'Images of the sample' },
      images.map(({ name, width, height, thumbnail }) =>
        element(
          'li',
          { title: `${name}, ${width} × ${height} pixels` },
          thumbnail === undefined ? undefined : element('img', { src: thumbnail, alt: '' }),
          element('span', {}, name),
        ),
      ),
    ),
  );

function sequenceElement(sequence: ShownSequence, isJudged: boolean): HTMLElement {
  const { runs, hidden } = sequence;
  return element(
    'section',
    {},
    element('p', { class: 'hint' }, sequenceTitle(sequence, isJudged)),
    element(
      'div',
      { class: 'tokens' },
      runs.map(runElement),
      hidden > 0 ? element('span', { class: 'hint' }, ` … ${hidden} more tokens`) : undefined,
    ),
  );
}

/** A run of tokens; a screen reader announces where trained and cut-off text begins and ends. */
function runElement({ use, weight, tokens }: TokenRun): HTMLElement {
  const { label, title } = USES[use];
  const spoken = (text: string) => (use === 'context' ? undefined : element('span', { class: 'visually-hidden' }, text));
  if (weight === undefined)
    return element('span', { class: `run ${use}`, title }, spoken(` ${label}: `), tokens.map(tokenElement), spoken(` end of ${label}. `));
  const shown = element(
    'span',
    { class: `run ${use} weighed`, title: `${title} Each counts ${weight} times as much as one without a weight.` },
    spoken(` ${label} with the weight ${weight}: `),
    element('span', { class: 'weight', 'aria-hidden': 'true' }, `×${weight}`),
    tokens.map(tokenElement),
    spoken(` end of ${label}. `),
  );
  shown.style.setProperty('--weight', String(weight));
  return shown;
}

function tokenElement({ text, ids, tag }: ShownToken): HTMLElement {
  const shown = element('span', { class: 'token', title: `token ${ids.join(' ')}` }, visible(text));
  return tag === undefined ? shown : element('span', { class: 'word' }, shown, element('span', { class: 'tag' }, tag));
}

/** Returns text in which line breaks and empty tokens are visible; an empty token would have no width. */
const visible = (text: string): string => (text === '' ? '∅' : text.replaceAll('\n', '⏎\n'));
