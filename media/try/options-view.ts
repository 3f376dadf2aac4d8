/** The fields of the generation options. */
import { PROMPT_STYLES, type PromptStyle, TRY_BOUNDS, TRY_DEFAULTS, type TryOptions } from '../../trainer/protocol/view/try.ts';
import { element } from '../shared/element.ts';

type NumberName = keyof typeof TRY_BOUNDS;

const FIELDS: readonly { readonly name: NumberName; readonly label: string; readonly step: number; readonly title: string }[] = [
  { name: 'maxNewTokens', label: 'Tokens', step: 1, title: 'Maximum length of an answer' },
  { name: 'temperature', label: 'Temperature', step: 0.1, title: '0 always picks the most likely token' },
  { name: 'topP', label: 'Top p', step: 0.05, title: 'Samples from the most likely tokens with this total probability' },
  { name: 'topK', label: 'Top k', step: 1, title: 'Samples from this many most likely tokens; 0 for all' },
  { name: 'seed', label: 'Seed', step: 1, title: 'Random seed' },
];

const STYLES: Readonly<Record<PromptStyle, string>> = {
  trained: 'as in training',
  chat: 'chat template',
  plain: 'raw text',
};

export interface OptionsView {
  readonly element: HTMLElement;
  /** The values of the fields, clamped to their bounds. */
  read(): TryOptions;
}

/** @param kept by an earlier page, so not validated */
export function createOptions(kept: Partial<TryOptions> | undefined, onChange: () => void): OptionsView {
  const start = { ...TRY_DEFAULTS, ...kept };
  const prompt = element(
    'select',
    { onchange: onChange },
    PROMPT_STYLES.map(style => element('option', { value: style }, STYLES[style])),
  );
  prompt.value = PROMPT_STYLES.find(style => style === start.prompt) ?? TRY_DEFAULTS.prompt;
  const inputs = FIELDS.map(({ name, label, step, title }) => {
    const { min, max } = TRY_BOUNDS[name];
    const input = element('input', { type: 'number', min, max, step, title, onchange: () => settle(name) });
    input.value = String(start[name]);
    return { name, input, label: element('label', { title }, label, input) };
  });
  const readNumber = (name: NumberName): number => {
    const { min, max } = TRY_BOUNDS[name];
    const value = inputs.find(each => each.name === name)?.input.valueAsNumber;
    if (value === undefined || !Number.isFinite(value)) return TRY_DEFAULTS[name];
    const bounded = Math.min(max, Math.max(min, value));
    return name === 'temperature' || name === 'topP' ? bounded : Math.round(bounded);
  };
  /** Writes the value that is used into its field, in place of one out of bounds. */
  const settle = (name: NumberName): void => {
    for (const each of inputs) if (each.name === name) each.input.value = String(readNumber(name));
    onChange();
  };
  return {
    element: element(
      'details',
      { class: 'options' },
      element('summary', {}, 'Options'),
      element(
        'div',
        { class: 'fields' },
        inputs.map(({ label }) => label),
        element(
          'label',
          {
            title: "As in training: with the wording and template of the run's training samples. Without a run: the chat template.",
          },
          'Prompt',
          prompt,
        ),
      ),
    ),
    read: () => ({
      prompt: PROMPT_STYLES.find(style => style === prompt.value) ?? TRY_DEFAULTS.prompt,
      maxNewTokens: readNumber('maxNewTokens'),
      temperature: readNumber('temperature'),
      topP: readNumber('topP'),
      topK: readNumber('topK'),
      seed: readNumber('seed'),
    }),
  };
}
