/**
 * All neurons of a cell side by side: a profile of scores, a band of colors, and marks at trained rows. Pans and zooms
 * down to single neurons; with the keyboard, a cursor moves over them, exposed to screen readers as a slider.
 */
import { grouped } from '../../../trainer/protocol/format.ts';
import { type ColorMap, colorIndex } from '../../shared/color-maps.ts';
import { element } from '../../shared/element.ts';
import { createPainter, type Painter } from '../../shared/painter.ts';
import { niceTicks, type Scale } from '../../shared/scale.ts';
import type { Theme } from '../../shared/theme.ts';
import { type Limits, panned, revealing, type Viewport, whole, zoomed } from '../grid/viewport.ts';
import { columnOf, placesAt, type Strip } from './strip-drawing.ts';

export interface StripContent {
  readonly a: Strip;
  readonly scaleA: Scale;
  /** The second cell, below and upside down. */
  readonly b?: Strip;
  readonly scaleB?: Scale;
  readonly map: ColorMap;
  /** The unit of the axis. */
  readonly unit: 'neuron' | 'rank';
}

export interface StripView {
  readonly element: HTMLElement;
  update(content: StripContent, theme: Theme, label: string): void;
  zoom(factor: number): void;
  fit(): void;
}

export interface StripViewParams {
  /** The position under the pointer or at the cursor. */
  onHover(place: number | undefined, at: { readonly x: number; readonly y: number }): void;
  /** The description of a position. */
  sentenceOf(place: number): string;
}

/** Maximum zoom: a neuron is at most this fraction of the view's width. */
const LEAST_NEURONS = 8;
const BAND = 14;
const MARKS = 6;
const AXIS = 18;
const WHEEL_ZOOM = 1.0025;
const KEY_ZOOM = 1.5;
/** Keys move by this fraction of the visible range, or by one neuron when zoomed in. */
const KEY_PARTS = 400;

export function createStripView({ onHover, sentenceOf }: StripViewParams): StripView {
  const canvas = element('canvas', { tabindex: '0', role: 'slider', 'aria-orientation': 'horizontal' });
  let content: StripContent | undefined;
  let theme: Theme | undefined;
  let view: Viewport = { start: 0, length: 1 };
  /** The keyboard cursor, in positions of the strip. */
  let cursor = 0;
  const painter = createPainter(canvas, drawn => {
    if (!content || !theme) return;
    drawStrip(drawn, content, theme, view);
    if (document.activeElement === canvas) drawCursor(drawn, theme, view, cursor);
  });
  const limits = (): Limits => ({ total: content?.a.rows ?? 1, least: LEAST_NEURONS });
  const change = (next: Viewport): void => {
    view = next;
    painter.request();
  };
  const shareOf = (event: MouseEvent): number => {
    const { left, width } = canvas.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - left) / width));
  };

  canvas.addEventListener(
    'wheel',
    event => {
      if (!content) return;
      const scale = event.deltaMode === 0 ? 1 : 16;
      // The strip does not scroll vertically, so the wheel zooms; horizontal scrolling pans.
      if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) {
        const by = (((event.deltaX || event.deltaY) * scale) / canvas.clientWidth) * view.length;
        change(panned(view, by, limits()));
      } else change(zoomed(view, WHEEL_ZOOM ** (-event.deltaY * scale), shareOf(event), limits()));
      event.preventDefault();
    },
    { passive: false },
  );
  let drag: { readonly x: number; readonly view: Viewport } | undefined;
  canvas.addEventListener('pointerdown', event => {
    drag = { x: event.clientX, view };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener('pointermove', event => {
    if (drag) change(panned(drag.view, ((drag.x - event.clientX) / canvas.clientWidth) * drag.view.length, limits()));
    if (content)
      onHover(Math.min(content.a.rows - 1, Math.floor(view.start + shareOf(event) * view.length)), { x: event.clientX, y: event.clientY });
  });
  const release = (): void => {
    drag = undefined;
  };
  canvas.addEventListener('pointerup', release);
  canvas.addEventListener('pointercancel', release);
  canvas.addEventListener('pointerleave', () => onHover(undefined, { x: 0, y: 0 }));
  const fit = (): void => change(whole(limits()));
  const zoomMiddle = (factor: number): void => change(zoomed(view, factor, 0.5, limits()));
  /** Keeps the center of attention in place. */
  const zoomCursor = (factor: number): void => {
    view = zoomed(view, factor, (cursor + 0.5 - view.start) / view.length, limits());
    moveTo(cursor);
  };

  function moveTo(place: number): void {
    const last = limits().total - 1;
    cursor = Math.min(last, Math.max(0, place));
    change(revealing(view, cursor, limits()));
    describe();
    const { left, top, width, height } = canvas.getBoundingClientRect();
    onHover(cursor, { x: left + ((cursor + 0.5 - view.start) / view.length) * width, y: top + height / 2 });
  }

  function describe(): void {
    const last = limits().total - 1;
    for (const [name, value] of Object.entries({ valuemin: 0, valuemax: last, valuenow: Math.min(cursor, last) }))
      canvas.setAttribute(`aria-${name}`, String(value));
    canvas.setAttribute('aria-valuetext', sentenceOf(cursor));
  }

  const step = ({ shiftKey }: KeyboardEvent): number => Math.max(1, Math.round(view.length / KEY_PARTS)) * (shiftKey ? 10 : 1);
  const keys: Readonly<Record<string, (event: KeyboardEvent) => void>> = {
    ArrowLeft: event => moveTo(cursor - step(event)),
    ArrowRight: event => moveTo(cursor + step(event)),
    PageUp: event => moveTo(cursor - 40 * step(event)),
    PageDown: event => moveTo(cursor + 40 * step(event)),
    Home: () => moveTo(0),
    End: () => moveTo(limits().total - 1),
    '+': () => zoomCursor(KEY_ZOOM),
    '=': () => zoomCursor(KEY_ZOOM),
    '-': () => zoomCursor(1 / KEY_ZOOM),
    '0': fit,
  };
  canvas.addEventListener('focus', () => painter.request());
  canvas.addEventListener('blur', () => {
    onHover(undefined, { x: 0, y: 0 });
    painter.request();
  });
  canvas.addEventListener('keydown', event => {
    const key = event.ctrlKey || event.metaKey || event.altKey ? undefined : keys[event.key];
    if (!key) return;
    event.preventDefault();
    key(event);
  });

  return {
    element: element('div', { class: 'strip-view' }, canvas),
    update(next, nextTheme, label) {
      const isOther = next.a.rows !== content?.a.rows;
      [content, theme] = [next, nextTheme];
      if (isOther) {
        view = whole(limits());
        cursor = 0;
      }
      canvas.setAttribute('aria-label', `${label}. Arrow keys move over the neurons, plus and minus zoom, 0 shows all`);
      describe();
      painter.request();
    },
    zoom: zoomMiddle,
    fit,
  };
}

function drawStrip({ context, size }: Painter, content: StripContent, theme: Theme, view: Viewport): void {
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
  drawBand(context, content, size.width, view, middle);
  drawAxis(context, size, content, theme, view);
}

/** A line through the neuron, as wide as the neuron if there is room. */
function drawCursor({ context, size }: Painter, theme: Theme, view: Viewport, cursor: number): void {
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
  /** −1 for upward. */
  readonly direction: 1 | -1;
  /** Vertical position of the marks of trained rows. */
  readonly marks?: number;
}

/** Columns one pixel wide, or as wide as neurons when zoomed in. */
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
  // Two passes, so that the color is set twice instead of a thousand times.
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

function drawBand(context: CanvasRenderingContext2D, { a, scaleA, map }: StripContent, width: number, view: Viewport, y: number): void {
  for (const { x, width: wide, from, to } of columns(view, width, a.rows)) {
    context.fillStyle = map.css[colorIndex(scaleA.position(columnOf(a, from, to).max))] as string;
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
    context.textAlign = x < 20 ? 'left' : x > size.width - 20 ? 'right' : 'center';
    context.fillRect(Math.round(x), size.height - AXIS + 1, 1, 4);
    const label = tick > 0 ? grouped(tick) : unit === 'rank' ? 'highest' : 'neuron 0';
    context.fillText(label, Math.max(0, x), size.height - 3);
  }
}
