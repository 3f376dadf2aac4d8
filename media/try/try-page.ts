/** The page that tries a model: questions above, and a box for the next question below. */
import { MAX_PROMPT, type TryFromPage, type TryOptions, type TryToPage } from '../../trainer/protocol/view/try.ts';
import { Announcer } from '../shared/announcer.ts';
import type { Editor } from '../shared/editor.ts';
import { element, fill, setText } from '../shared/element.ts';
import { createPage } from '../shared/page.ts';
import { attachFiles } from './attach-files.ts';
import { createImageTray, takeImages } from './image-tray.ts';
import { createOptions } from './options-view.ts';
import { createRound, type RoundView } from './round-view.ts';
import { createSamplePicker } from './sample-picker.ts';
import { invitationOf, isBusy, sentenceOf, startTry, subtitleOf, type TryState, updateTry } from './try-state.ts';

/** The page's own state that survives a reload. */
export interface KeptTryPage {
  readonly draft: string;
  readonly options: TryOptions;
  /** Number of the sample selected last, counted from 1. */
  readonly sample: number;
}

/** Distance in pixels from the end within which the page follows new text. */
const FOLLOW_PX = 80;

export function mountTry(root: HTMLElement, editor: Editor<TryFromPage, KeptTryPage>): { receive(message: TryToPage): void } {
  const announcer = new Announcer();
  const header = createTryHeader(() => editor.post({ type: 'clear' }));
  const rounds = createRounds();
  const attach = (files: readonly File[]): void =>
    void attachFiles(files, {
      post: message => editor.post(message),
      attached: () => page.state.attached,
      refuse: problem => page.receive({ type: 'attached', attached: page.state.attached, problem }),
    });
  const footer = createFooter(editor, { busy: () => isBusy(page.state), attach });
  const page = createPage<TryState, TryToPage>({
    start: startTry,
    update: updateTry,
    draw: state => {
      header.update(state);
      following(() => rounds.update(state));
      footer.update(state);
    },
    react: message => {
      const sentence = sentenceOf(message);
      if (sentence !== undefined) announcer.say(sentence);
    },
  });
  takeImages(root, { isOpen: () => page.state.readsImages, take: attach });
  fill(root, header.element, rounds.element, footer.element, announcer.element);
  footer.update(page.state);
  footer.focus();
  return { receive: page.receive };
}

/** Keeps new text visible unless the reader has scrolled up; a new question is always shown. */
function following(change: () => boolean): void {
  const { scrollHeight, clientHeight } = document.documentElement;
  const isAtEnd = scrollHeight - clientHeight - window.scrollY < FOLLOW_PX;
  const isNew = change();
  if (isAtEnd || isNew) window.scrollTo({ top: document.documentElement.scrollHeight });
}

function createTryHeader(clear: () => void) {
  const title = element('h1', {});
  const subtitle = element('p', { class: 'hint' });
  const button = element('button', { class: 'secondary', onclick: clear }, 'Clear');
  return {
    element: element('header', { class: 'try-header' }, element('div', {}, title, subtitle), button),
    update(state: TryState): void {
      setText(title, state.label);
      setText(subtitle, subtitleOf(state));
      subtitle.title = state.model;
      button.hidden = state.rounds.length === 0;
    },
  };
}

function createRounds() {
  const box = element('div', { class: 'rounds' });
  const empty = element('p', { class: 'hint empty' });
  let views: readonly RoundView[] = [];
  return {
    element: box,
    /** Redraws the questions. Returns true if they changed. */
    update(state: TryState): boolean {
      const { rounds } = state;
      setText(empty, invitationOf(state));
      const isSame = rounds.length === views.length && rounds.every((round, i) => views[i]?.isOf(round));
      if (!isSame || rounds.length === 0) {
        // Questions that remain keep their elements.
        views = rounds.map((round, i) => {
          const view = views[i];
          return view?.isOf(round) ? view : createRound(round);
        });
        fill(box, views.length === 0 ? empty : views.map(view => view.element));
      }
      for (const [i, round] of rounds.entries()) views[i]?.update(round);
      return !isSame;
    },
  };
}

interface FooterParams {
  readonly busy: () => boolean;
  readonly attach: (files: readonly File[]) => void;
}

/** Creates the box for the next question, and the options. */
function createFooter(editor: Editor<TryFromPage, KeptTryPage>, { busy, attach }: FooterParams) {
  const tray = createImageTray({ attach, remove: place => editor.post({ type: 'detach', place }) });
  const kept = editor.kept();
  const keep = (): void => editor.keep({ draft: prompt.value, options: options.read(), sample: picker.read() });
  const options = createOptions(kept?.options, keep);
  const picker = createSamplePicker({
    start: kept?.sample ?? 1,
    onChange: keep,
    onPick: sample => editor.post({ type: 'compare', sample }),
  });
  const prompt = element('textarea', {
    rows: 3,
    maxlength: MAX_PROMPT,
    placeholder: 'Ask something. Press Ctrl+Enter to send.',
    'aria-label': 'Prompt',
    oninput: () => {
      keep();
      showAsk();
    },
    onkeydown: (event: KeyboardEvent) => {
      if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      ask();
    },
  });
  prompt.value = typeof kept?.draft === 'string' ? kept.draft : '';
  const askButton = element('button', { class: 'primary', onclick: ask }, 'Ask');
  const stopButton = element('button', { class: 'secondary', onclick: () => editor.post({ type: 'stop' }) }, 'Stop');
  const canAsk = (): boolean => !busy() && prompt.value.trim() !== '';

  function ask(): void {
    if (canAsk()) editor.post({ type: 'ask', prompt: prompt.value, options: options.read() });
  }

  function showAsk(): void {
    askButton.disabled = !canAsk();
    stopButton.hidden = !busy();
  }

  return {
    element: element(
      'footer',
      { class: 'try-footer' },
      tray.element,
      prompt,
      element('div', { class: 'try-actions' }, askButton, tray.button, picker.element, stopButton, options.element),
    ),
    focus: () => prompt.focus(),
    update(state: TryState): void {
      const isAsked = state.sides.length > 0 || !state.comparesAnswers;
      for (const each of [prompt, askButton, options.element]) each.hidden = !isAsked;
      prompt.disabled = state.label !== '' && state.sides.length === 0;
      tray.update(state);
      picker.update(state, busy());
      showAsk();
    },
  };
}
