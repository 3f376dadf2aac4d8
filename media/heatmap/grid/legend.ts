/** The color bar with its values, and what the colors mean. */
import { COLORS, type ColorMap } from '../../shared/color-maps.ts';
import { element, fill, setText } from '../../shared/element.ts';
import type { Scale } from '../../shared/scale.ts';

export interface Legend {
  readonly element: HTMLElement;
  update(title: string, map: ColorMap, scale: Scale): void;
}

const TICKS = 5;

export function createLegend(): Legend {
  const title = element('span', { class: 'legend-title' });
  const bar = element('canvas', { class: 'legend-bar', width: COLORS, height: 1, 'aria-hidden': 'true' });
  const ticks = element('div', { class: 'legend-ticks' });
  return {
    element: element(
      'div',
      { class: 'legend', role: 'group', 'aria-label': 'Legend' },
      title,
      element('div', { class: 'legend-scale' }, bar, ticks),
    ),
    update(text, map, scale) {
      setText(title, text);
      const context = bar.getContext('2d');
      const image = context?.createImageData(COLORS, 1);
      if (context && image) {
        for (let i = 0; i < COLORS; i++) {
          image.data.set(map.rgb.subarray(3 * i, 3 * i + 3), 4 * i);
          image.data[4 * i + 3] = 255;
        }
        context.putImageData(image, 0, 0);
      }
      fill(
        ticks,
        ...(scale.isEmpty ? [] : scale.ticks(TICKS)).map(({ position, label }) => {
          const tick = element('span', {}, label);
          tick.style.left = `${100 * position}%`;
          // Keep the labels at both ends within the bar.
          tick.style.transform = `translateX(${position < 0.08 ? 0 : position > 0.92 ? -100 : -50}%)`;
          return tick;
        }),
      );
    },
  };
}
