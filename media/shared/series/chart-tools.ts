/** Settings for all charts of a page: smoothing, logarithmic values, and a button that resets the zoom. */
import { element, setText } from '../element.ts';
import type { ChartGroup } from './chart-group.ts';
import { smoothingText, smoothingWeight } from './smooth.ts';

export interface ChartSettings {
  /** Position of the slider, 0 to 1. */
  readonly smoothing: number;
  readonly isLogarithmic: boolean;
}

export interface ChartTools {
  readonly element: HTMLElement;
  readonly settings: ChartSettings;
}

const DEFAULT_SMOOTHING = 0.2;

export function createChartTools(group: ChartGroup, kept: Partial<ChartSettings>, changed: (settings: ChartSettings) => void): ChartTools {
  let settings: ChartSettings = {
    smoothing: typeof kept.smoothing === 'number' ? Math.min(1, Math.max(0, kept.smoothing)) : DEFAULT_SMOOTHING,
    isLogarithmic: kept.isLogarithmic === true,
  };
  const weight = element('span', { class: 'smoothing-value' });
  const slider = element('input', {
    type: 'range',
    min: 0,
    max: 1,
    step: 0.01,
    'aria-label': 'Smoothing',
    oninput: () => set({ smoothing: Number(slider.value) }),
  });
  const logarithmic = element('input', { type: 'checkbox', onchange: () => set({ isLogarithmic: logarithmic.checked }) });
  const reset = element('button', { type: 'button', class: 'secondary', disabled: true, onclick: () => group.reset() }, 'Show All');
  group.onZoom(isZoomed => {
    reset.disabled = !isZoomed;
  });

  function show(): void {
    slider.value = String(settings.smoothing);
    setText(weight, smoothingText(smoothingWeight(settings.smoothing)));
    slider.setAttribute('aria-valuetext', weight.textContent ?? '');
    logarithmic.checked = settings.isLogarithmic;
  }

  function set(change: Partial<ChartSettings>): void {
    settings = { ...settings, ...change };
    show();
    changed(settings);
  }

  show();
  return {
    element: element(
      'div',
      { class: 'chart-tools' },
      element('label', { class: 'tool' }, 'Smoothing', slider, weight),
      element('label', { class: 'tool' }, logarithmic, 'Logarithmic'),
      reset,
      element('span', { class: 'hint' }, 'Drag or Ctrl+scroll to zoom, Shift+scroll to move, double-click to show all'),
    ),
    get settings() {
      return settings;
    },
  };
}
