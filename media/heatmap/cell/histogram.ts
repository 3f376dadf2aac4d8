/** A histogram of a cell's scores, with the selected part highlighted. */
import { compact } from '../../../trainer/protocol/text/format.ts';
import { element } from '../../shared/element.ts';
import { createPainter, type Painter } from '../../shared/painter.ts';
import type { Theme } from '../../shared/theme.ts';
import type { HistogramContent } from './cell-scales.ts';

export interface HistogramView {
  readonly element: HTMLElement;
  update(content: HistogramContent, theme: Theme, label: string): void;
}

const AXIS = 18;

export function createHistogramView(): HistogramView {
  const canvas = element('canvas', { role: 'img' });
  let drawn: { readonly content: HistogramContent; readonly theme: Theme } | undefined;
  const painter = createPainter(canvas, target => {
    if (drawn) drawHistogram(target, drawn.content, drawn.theme);
  });
  return {
    element: element('div', { class: 'histogram-view' }, canvas),
    update(content, theme, label) {
      drawn = { content, theme };
      canvas.setAttribute('aria-label', label);
      painter.request();
    },
  };
}

/** Draws the histogram with logarithmic counts, because a few selected rows would be invisible next to the rest. */
function drawHistogram({ context, size }: Painter, { histogram, scale, threshold, mark }: HistogramContent, theme: Theme): void {
  const plot = size.height - AXIS;
  const { counts, selected } = histogram;
  const highest = Math.log1p(Math.max(1, ...counts));
  const wide = size.width / counts.length;
  for (const [values, color] of [
    [counts, theme.plain],
    [selected, theme.accent],
  ] as const) {
    context.fillStyle = color;
    values.forEach((count, i) => {
      const height = (Math.log1p(count) / highest) * (plot - 12);
      if (count > 0) context.fillRect(i * wide, plot - Math.max(1, height), Math.max(1, wide - 1), Math.max(1, height));
    });
  }
  context.fillStyle = theme.border;
  context.fillRect(0, plot, size.width, 1);
  context.font = `11px ${theme.font}`;
  context.fillStyle = theme.muted;
  context.textBaseline = 'alphabetic';
  for (const { position, label } of scale.ticks(Math.max(2, Math.floor(size.width / 80)))) {
    const x = position * size.width;
    context.textAlign = x < 20 ? 'left' : x > size.width - 20 ? 'right' : 'center';
    context.fillText(label, x, size.height - 4);
  }
  if (threshold === undefined || !Number.isFinite(threshold)) return;
  const x = Math.round(scale.position(threshold) * size.width);
  context.fillStyle = theme.foreground;
  context.fillRect(x, 0, 1, plot);
  const isLeft = x < size.width / 2;
  context.textAlign = isLeft ? 'left' : 'right';
  context.fillText(`${mark} from ${compact(Number(threshold.toPrecision(3)))}`, x + (isLeft ? 4 : -4), 10);
}
