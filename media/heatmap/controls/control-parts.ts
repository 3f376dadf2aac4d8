/** Selects, switches and the slider of the toolbar: each shows a value and reports changes by the user. */
import { element, fill } from '../../shared/element.ts';
import { type Option, type Range, STEPS, stepOfValue, valueAtStep } from './options.ts';

export interface Select<Value extends string = string> {
  readonly element: HTMLElement;
  /** Shows the options and the value; the control is hidden if there is nothing to choose. */
  update(options: readonly Option<Value>[], value: string, isShown: boolean): void;
  focus(): void;
}

export function createSelect<Value extends string>(label: string, onChange: (value: Value) => void): Select<Value> {
  const list = element('select', { 'aria-label': label });
  const box = element('label', { class: 'control' }, element('span', {}, label), list);
  let shown: readonly Option<Value>[] = [];
  list.addEventListener('change', () => {
    const chosen = shown.find(({ value }) => value === list.value);
    if (chosen) onChange(chosen.value);
  });
  return {
    element: box,
    update(options, value, isShown) {
      box.hidden = !isShown;
      // Refilling a list that is open would close it.
      if (JSON.stringify(options) !== JSON.stringify(shown)) fill(list, ...grouped(options));
      shown = options;
      if (list.value !== value) list.value = value;
    },
    focus: () => list.focus(),
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

export interface Switch<Value extends string = string> {
  readonly element: HTMLElement;
  update(options: readonly Option<Value>[], value: Value): void;
}

/** Creates radio buttons for a few options in a row; arrow keys move between them. */
export function createSwitch<Value extends string>(label: string, onChange: (value: Value) => void): Switch<Value> {
  const name = `switch-${label.replace(/\W/g, '-')}`;
  const box = element('div', { class: 'switch', role: 'radiogroup', 'aria-label': label });
  let shown = '';
  const radio = ({ value, label: text, title, isDisabled }: Option<Value>): HTMLElement =>
    element(
      'label',
      { class: isDisabled ? 'disabled' : '', title },
      element('input', { type: 'radio', name, value, disabled: isDisabled, onchange: () => onChange(value) }),
      element('span', {}, text),
    );
  return {
    element: box,
    update(options, value) {
      const key = JSON.stringify(options);
      if (key !== shown) fill(box, ...options.map(radio));
      shown = key;
      for (const input of box.querySelectorAll('input')) input.checked = input.value === value;
    },
  };
}

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
    // Small integers are many slider steps apart; the thumb stays where the user dragged it.
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
