/** The field that selects a sample of the run's data. */
import { MAX_SAMPLES } from '../../trainer/protocol/view/compared-sample.ts';
import { element, setText } from '../shared/element.ts';
import type { TryState } from './try-state.ts';

export interface SamplePickerParams {
  /** Sample number, counted from 1; kept by an earlier page, so not validated. */
  readonly start: unknown;
  readonly onChange: () => void;
  /** @param sample index from 0 */
  readonly onPick: (sample: number) => void;
}

export function createSamplePicker({ start, onChange, onPick }: SamplePickerParams) {
  const input = element('input', {
    type: 'number',
    min: 1,
    max: MAX_SAMPLES,
    step: 1,
    onchange: onChange,
    onkeydown: (event: KeyboardEvent) => {
      if (event.key === 'Enter' && !button.disabled) pick();
    },
  });
  input.value = String(start);
  const read = (): number => Math.min(Math.max(1, Math.trunc(input.valueAsNumber) || 1), Number(input.max));
  input.value = String(read());
  const count = element('span', { class: 'hint' });
  const button = element('button', { class: 'primary', onclick: pick }, 'Score answers');

  function pick(): void {
    input.value = String(read());
    onChange();
    onPick(read() - 1);
  }

  return {
    element: element('div', { class: 'sample-picker' }, element('label', {}, 'Sample', input, count), button),
    read,
    update({ comparesAnswers, rounds }: TryState, isBusy: boolean): void {
      this.element.hidden = !comparesAnswers;
      button.disabled = isBusy;
      // The number of samples is known once a sample was scored.
      const known = rounds.flatMap(({ answers }) => answers.flatMap(({ compared }) => compared?.count ?? [])).at(-1);
      input.max = String(known ?? MAX_SAMPLES);
      setText(count, known === undefined ? '' : `of ${known}`);
    },
  };
}
