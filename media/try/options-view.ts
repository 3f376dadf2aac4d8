/** The fields of how text is generated. */
import { PROMPT_STYLES, type PromptStyle, TRY_BOUNDS, TRY_DEFAULTS, type TryOptions } from '../../trainer/protocol/view/try.ts';
import { element } from '../shared/element.ts';

type NumberName = keyof typeof TRY_BOUNDS;

const FIELDS: readonly { readonly name: NumberName; readonly label: string; readonly step: number; readonly title: string }[] = [
  { name: 'maxNewTokens', label: 'Tokens', step: 1, title: 'Ends after this many tokens' },
  { name: 'temperature', label: 'Temperature', step: 0.1, title: '0 takes the likeliest token each time' },
  { name: 'topP', label: 'Top p', step: 0.05, title: 'Draws from the likeliest tokens that together have this probability' },
  { name: 'topK', label: 'Top k', step: 1, title: 'Draws from this many likeliest tokens; 0 from all' },
  { name: 'seed', label: 'Seed', step: 1, title: 'The seed of the draws' },
];

const STYLES: Readonly<Record<PromptStyle, string>> = {
  trained: 'as in training',
  chat: 'chat template',
  plain: 'as it is',
};

export interface OptionsView {
  readonly element: HTMLElement;
  /** What stands in the fields, brought within its bounds. */
  read(): TryOptions;
}

/** @param kept of an earlier page: not trusted */
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
    const input = element('input', { type: 'number', min, max, step, title, onchange: onChange });
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
            title:
              'As in training: in the words and the template of the samples that the run was trained with. Without a run: the chat template.',
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
