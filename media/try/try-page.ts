/** The page that tries a model: questions above, a box for the next one below. */
import {
  MAX_PROMPT,
  type TryAnswer,
  type TryFromPage,
  type TryOptions,
  type TryRound,
  type TryToPage,
} from '../../trainer/protocol/view/try.ts';
import { Announcer } from '../shared/announcer.ts';
import type { Editor } from '../shared/editor.ts';
import { element, fill, setText } from '../shared/element.ts';
import { createOptions } from './options-view.ts';
import { createRound, type RoundView } from './round-view.ts';

/** The page's own state that survives a reload. */
export interface KeptTryPage {
  readonly draft: string;
  readonly options: TryOptions;
}

const BUSY: readonly TryAnswer['state'][] = ['waiting', 'loading', 'writing'];
/** Within this distance from the end, the page follows new text. */
const FOLLOW_PX = 80;

export function mountTry(root: HTMLElement, editor: Editor<TryFromPage, KeptTryPage>): { receive(message: TryToPage): void } {
  const kept = editor.kept();
  const keep = (): void => editor.keep({ draft: prompt.value, options: options.read() });
  const announcer = new Announcer();
  const options = createOptions(kept?.options, keep);
  const title = element('h1', {});
  const subtitle = element('p', { class: 'hint' });
  const clear = element('button', { class: 'secondary', onclick: () => editor.post({ type: 'clear' }) }, 'Clear');
  const roundsBox = element('div', { class: 'rounds' });
  const prompt = element('textarea', {
    rows: 3,
    maxlength: MAX_PROMPT,
    placeholder: 'Ask something. Press Ctrl+Enter to send.',
    'aria-label': 'Prompt',
    oninput: () => {
      keep();
      showBusy();
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
  fill(
    root,
    element('header', { class: 'try-header' }, element('div', {}, title, subtitle), clear),
    roundsBox,
    element('footer', { class: 'try-footer' }, prompt, element('div', { class: 'try-actions' }, askButton, stopButton, options.element)),
    announcer.element,
  );

  let views: readonly RoundView[] = [];
  let answers = new Map<string, TryAnswer>();
  const isBusy = (): boolean => [...answers.values()].some(({ state }) => BUSY.includes(state));

  function showBusy(): void {
    askButton.disabled = isBusy() || prompt.value.trim() === '';
    stopButton.hidden = !isBusy();
    clear.hidden = views.length === 0;
  }

  function ask(): void {
    if (isBusy() || prompt.value.trim() === '') return;
    editor.post({ type: 'ask', prompt: prompt.value, options: options.read() });
  }

  /** Keeps new text visible unless the reader has scrolled up. */
  function following(change: () => void): void {
    const { scrollHeight, clientHeight } = document.documentElement;
    const isAtEnd = scrollHeight - clientHeight - window.scrollY < FOLLOW_PX;
    change();
    if (isAtEnd) window.scrollTo({ top: document.documentElement.scrollHeight });
  }

  function show(rounds: readonly TryRound[]): void {
    views = rounds.map(createRound);
    answers = new Map((rounds.at(-1)?.answers ?? []).map(answer => [answer.side, answer]));
    fill(
      roundsBox,
      views.length === 0 ? element('p', { class: 'hint empty' }, 'Ask something to compare both models.') : views.map(view => view.element),
    );
    window.scrollTo({ top: document.documentElement.scrollHeight });
  }

  function receive(message: TryToPage): void {
    switch (message.type) {
      case 'view':
        setText(title, message.label);
        setText(
          subtitle,
          message.sides.length > 1
            ? `${message.model}, compared with the tuned model. Prompts are formatted as in training unless you change the options.`
            : message.model,
        );
        prompt.disabled = message.sides.length === 0;
        show(message.rounds);
        break;
      case 'round': {
        const view = createRound(message.round);
        if (views.length === 0) fill(roundsBox);
        views = [...views, view];
        answers = new Map(message.round.answers.map(answer => [answer.side, answer]));
        roundsBox.append(view.element);
        window.scrollTo({ top: document.documentElement.scrollHeight });
        break;
      }
      case 'answer':
        answers.set(message.answer.side, message.answer);
        following(() => views.at(-1)?.update(message.answer));
        if (message.answer.state === 'done') announcer.say(`${message.answer.side} answered: ${message.answer.text}`);
        if (message.answer.state === 'failed') announcer.say(`${message.answer.side} failed: ${message.answer.note ?? ''}`);
        break;
      case 'text':
        following(() => views.at(-1)?.append(message.side, message.chunk));
        break;
    }
    showBusy();
  }

  showBusy();
  prompt.focus();
  return { receive };
}
