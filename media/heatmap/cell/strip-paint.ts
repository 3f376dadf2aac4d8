/** Draws a strip: bars of scores, a color band, marks at the selected rows, and an axis. */
import { grouped } from '../../../trainer/protocol/text/format.ts';
import { colorIndex } from '../../shared/color-maps.ts';
import type { Painter } from '../../shared/painter.ts';
import { niceTicks, type Scale } from '../../shared/scale.ts';
import type { Theme } from '../../shared/theme.ts';
import type { Viewport } from '../grid/viewport.ts';
import { columnOf, placesAt, type Strip, type StripContent } from './strip-drawing.ts';

const BAND = 14;
const MARKS = 6;
const AXIS = 18;

export function drawStrip({ context, size }: Painter, content: StripContent, theme: Theme, view: Viewport): void {
  const { a, b, scaleA, scaleB } = content;
  const plot = size.height - AXIS;
  const middle = b ? Math.round((plot - BAND) / 2) : plot - BAND - MARKS;
  drawSide({ context, size, content, theme, view }, a, scaleA, {
    base: middle,
    height: middle - 2,
    direction: -1,
    marks: b ? undefined : plot - MARKS,
  });
  if (b && scaleB)
    drawSide({ context, size, content, theme, view }, b, scaleB, { base: middle + BAND, height: plot - middle - BAND, direction: 1 });
  drawBand(context, content, theme, size.width, view, middle);
  drawAxis(context, size, content, theme, view);
}

/** Draws a line through the neuron, as wide as the neuron if there is room. */
export function drawCursor({ context, size }: Painter, theme: Theme, view: Viewport, cursor: number): void {
  const wide = size.width / view.length;
  context.strokeStyle = theme.foreground;
  context.lineWidth = 1;
  context.strokeRect(Math.round((cursor - view.start) * wide) + 0.5, 0.5, Math.max(1, Math.round(wide) - 1), size.height - AXIS - 1);
}

interface SideParams {
  readonly context: CanvasRenderingContext2D;
  readonly size: { readonly width: number };
  readonly content: StripContent;
  readonly theme: Theme;
  readonly view: Viewport;
}

interface Side {
  readonly base: number;
  readonly height: number;
  /** −1 draws upward. */
  readonly direction: 1 | -1;
  /** Vertical position of the marks at selected rows. */
  readonly marks?: number;
}

/** Yields columns that are one pixel wide, or as wide as a neuron when zoomed in. */
function* columns(view: Viewport, width: number, rows: number): Generator<{ x: number; width: number; from: number; to: number }> {
  const wide = width / view.length;
  if (wide <= 1) {
    for (let x = 0; x < width; x++) yield { x, width: 1, ...placesAt(view, x, width, rows) };
    return;
  }
  const gap = wide >= 4 ? 1 : 0;
  for (let place = Math.floor(view.start); place < Math.min(rows, view.start + view.length); place++)
    yield { x: (place - view.start) * wide, width: Math.max(1, wide - gap), from: place, to: place + 1 };
}

function drawSide({ context, size, theme, view }: SideParams, strip: Strip, scale: Scale, side: Side): void {
  // Two passes, so that the color is set twice rather than a thousand times.
  for (const isSelected of [false, true]) {
    context.fillStyle = isSelected ? theme.accent : theme.plain;
    for (const { x, width, from, to } of columns(view, size.width, strip.rows)) {
      const { max, selected } = columnOf(strip, from, to);
      if (selected > 0 !== isSelected) continue;
      const height = Math.max(1, side.height * scale.position(max));
      context.fillRect(x, side.direction < 0 ? side.base - height : side.base, width, height);
      if (isSelected && side.marks !== undefined) context.fillRect(x, side.marks, width, MARKS);
    }
  }
}

function drawBand(
  context: CanvasRenderingContext2D,
  { a, scaleA, map }: StripContent,
  theme: Theme,
  width: number,
  view: Viewport,
  y: number,
): void {
  for (const { x, width: wide, from, to } of columns(view, width, a.rows)) {
    context.fillStyle = map.css[colorIndex(scaleA.position(columnOf(a, from, to).max))] ?? theme.plain;
    context.fillRect(x, y + 1, wide + (wide > 1 ? 0 : 0.5), BAND - 2);
  }
}

function drawAxis(context: CanvasRenderingContext2D, size: Painter['size'], { unit }: StripContent, theme: Theme, view: Viewport): void {
  context.font = `11px ${theme.font}`;
  context.fillStyle = theme.muted;
  context.textBaseline = 'alphabetic';
  for (const tick of niceTicks(view.start, view.start + view.length - 1, Math.max(2, Math.floor(size.width / 90)))) {
    if (!Number.isInteger(tick)) continue;
    const x = ((tick + 0.5 - view.start) / view.length) * size.width;
    context.fillRect(Math.round(x), size.height - AXIS + 1, 1, 4);
    const label = tick > 0 ? grouped(tick) : unit === 'rank' ? 'highest' : `${unit} 0`;
    const half = context.measureText(label).width / 2;
    context.textAlign = x < half ? 'left' : x > size.width - half ? 'right' : 'center';
    context.fillText(label, x, size.height - 3);
  }
}
