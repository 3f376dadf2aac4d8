/** Selects, switches and the slider of the toolbar: each shows a value and reports changes by the user. */
import { element, fill } from '../shared/element.ts';

export interface Option {
  readonly value: string;
  readonly label: string;
  /** Options with the same group name are listed under it. */
  readonly group?: string;
}

export interface Select {
  readonly element: HTMLElement;
  /** Hidden if there is nothing to choose. */
  update(options: readonly Option[], value: string, isShown: boolean): void;
}

export function createSelect(label: string, onChange: (value: string) => void): Select {
  const list = element('select', { 'aria-label': label });
  list.addEventListener('change', () => onChange(list.value));
  const box = element('label', { class: 'control' }, element('span', {}, label), list);
  let shown = '';
  return {
    element: box,
    update(options, value, isShown) {
      box.hidden = !isShown;
      const key = JSON.stringify(options);
      // Refilling an open list would close it.
      if (key !== shown) fill(list, ...grouped(options));
      shown = key;
      if (list.value !== value) list.value = value;
    },
  };
}

function grouped(options: readonly Option[]): HTMLElement[] {
  const made: HTMLElement[] = [];
  for (const { value, label, group } of options) {
    const option = element('option', { value }, label);
    const last = made.at(-1);
    if (group === undefined) made.push(option);
    else if (last instanceof HTMLOptGroupElement && last.label === group) last.append(option);
    else made.push(element('optgroup', { label: group }, option));
  }
  return made;
}

export interface Switch {
  readonly element: HTMLElement;
  update(values: readonly { readonly value: string; readonly label: string; readonly isDisabled?: boolean }[], value: string): void;
}

/** A few options side by side: radio buttons, so the arrow keys move between them. */
export function createSwitch(label: string, onChange: (value: string) => void): Switch {
  const name = `switch-${label.replace(/\W/g, '-')}`;
  const box = element('div', { class: 'switch', role: 'radiogroup', 'aria-label': label });
  let shown = '';
  return {
    element: box,
    update(values, value) {
      const key = JSON.stringify(values);
      if (key !== shown)
        fill(
          box,
          ...values.map(({ value: each, label: text, isDisabled }) =>
            element(
              'label',
              { class: isDisabled ? 'disabled' : '' },
              element('input', { type: 'radio', name, value: each, disabled: isDisabled, onchange: () => onChange(each) }),
              element('span', {}, text),
            ),
          ),
        );
      shown = key;
      for (const input of box.querySelectorAll('input')) input.checked = input.value === value;
    },
  };
}

/** Integers or shares on a logarithmic scale: people choose among small budgets. */
export interface Range {
  readonly least: number;
  readonly most: number;
  readonly isWhole: boolean;
}

const STEPS = 1000;

export const valueAtStep = (step: number, { least, most, isWhole }: Range): number => {
  const value = least * (most / least) ** (step / STEPS);
  return isWhole ? Math.round(value) : Number(value.toPrecision(3));
};
export const stepOfValue = (value: number, { least, most }: Range): number =>
  most > least ? Math.round((STEPS * Math.log(Math.min(Math.max(value, least), most) / least)) / Math.log(most / least)) : 0;

export interface Slider {
  readonly element: HTMLElement;
  update(value: number, range: Range, text: string, isDisabled: boolean): void;
}

export function createSlider(label: string, onChange: (value: number) => void): Slider {
  const track = element('input', { type: 'range', min: 0, max: STEPS, 'aria-label': label });
  const field = element('input', { type: 'text', inputmode: 'decimal', class: 'number', 'aria-label': `${label}, as a number` });
  let now: Range = { least: 1, most: 1, isWhole: true };
  let shownText = '';
  let stepped: { readonly step: number; readonly value: number } | undefined;
  track.addEventListener('input', () => {
    const step = Number(track.value);
    const value = valueAtStep(step, now);
    // Small integers are many slider steps apart; the thumb stays where it was dragged.
    stepped = { step, value };
    onChange(value);
  });
  field.addEventListener('change', () => {
    const typed = Number.parseFloat(field.value.replace(',', '.')) / (now.isWhole ? 1 : 100);
    if (Number.isFinite(typed) && typed > 0) onChange(now.isWhole ? Math.max(1, Math.round(typed)) : Math.min(1, typed));
    else field.value = shownText;
  });
  return {
    element: element('span', { class: 'slider' }, track, field),
    update(value, range, text, isDisabled) {
      now = range;
      track.disabled = field.disabled = isDisabled;
      track.value = String(stepped?.value === value ? stepped.step : stepOfValue(value, range));
      track.setAttribute('aria-valuetext', text);
      if (shownText !== text) field.value = text;
      shownText = text;
    },
  };
}

export function createButton(label: string, title: string, onClick: () => void): HTMLButtonElement {
  return element('button', { type: 'button', title, 'aria-label': title, onclick: onClick }, label);
}
