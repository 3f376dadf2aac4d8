/**
 * All neurons of a cell side by side: a profile of scores, a color band, and marks at selected rows. Pans and zooms down to single neurons.
 * The keyboard moves a cursor, which screen readers see as a slider.
 */
import { onDrag } from '../../shared/drag.ts';
import { element } from '../../shared/element.ts';
import { onKeys } from '../../shared/keys.ts';
import { createPainter } from '../../shared/painter.ts';
import type { Theme } from '../../shared/theme.ts';
import { type Limits, panned, revealing, type Viewport, whole, zoomed } from '../grid/viewport.ts';
import type { StripContent } from './strip-drawing.ts';
import { drawCursor, drawStrip } from './strip-paint.ts';

export interface StripView {
  readonly element: HTMLElement;
  update(content: StripContent, theme: Theme, label: string): void;
  zoom(factor: number): void;
  fit(): void;
}

export interface StripViewParams {
  /** Called with the position under the pointer or at the cursor. */
  onHover(place: number | undefined, at: { readonly x: number; readonly y: number }): void;
  /** Returns the description of a position. */
  sentenceOf(place: number): string;
}

/** Number of neurons in view at maximum zoom. */
const MIN_NEURONS = 8;
const WHEEL_ZOOM = 1.0025;
const KEY_ZOOM = 1.5;
/** Number of key presses that cross the visible range; when zoomed in, a key press moves by one neuron. */
const KEY_PARTS = 400;

export function createStripView(params: StripViewParams): StripView {
  const canvas = element('canvas', { tabindex: '0', role: 'slider', 'aria-orientation': 'horizontal' });
  const scene = createStripScene(canvas, params);
  takeKeys(canvas, scene);
  takePointer(canvas, scene, params);
  canvas.addEventListener('wheel', event => takeWheel(event, scene, canvas), { passive: false });
  canvas.addEventListener('focus', scene.redraw);
  canvas.addEventListener('blur', () => {
    params.onHover(undefined, { x: 0, y: 0 });
    scene.redraw();
  });
  return {
    element: element('div', { class: 'strip-view' }, canvas),
    update(content, theme, label) {
      canvas.setAttribute('aria-label', `${label}. Arrow keys move along it, plus and minus zoom, 0 shows all`);
      scene.show(content, theme);
    },
    zoom: factor => scene.zoom(factor, 0.5),
    fit: scene.fit,
  };
}

/** The visible neurons and the cursor; every change redraws the canvas. */
interface StripScene {
  readonly view: Viewport;
  /** The keyboard cursor, in positions of the strip. */
  readonly cursor: number;
  /** Number of positions of the strip. */
  readonly total: number;
  show(content: StripContent, theme: Theme): void;
  /** Moves the cursor into view and describes its neuron. */
  moveTo(place: number): void;
  /** @param anchor the position in the view that stays in place, 0 to 1 */
  zoom(factor: number, anchor: number): void;
  pan(from: Viewport, places: number): void;
  fit(): void;
  redraw(): void;
}

function createStripScene(canvas: HTMLCanvasElement, { onHover, sentenceOf }: StripViewParams): StripScene {
  let shown: { readonly content: StripContent; readonly theme: Theme } | undefined;
  let view: Viewport = { start: 0, length: 1 };
  let cursor = 0;
  const painter = createPainter(canvas, drawn => {
    if (!shown) return;
    drawStrip(drawn, shown.content, shown.theme, view);
    if (document.activeElement === canvas) drawCursor(drawn, shown.theme, view, cursor);
  });
  const limits = (): Limits => ({ total: shown?.content.a.rows ?? 1, least: MIN_NEURONS });
  const change = (next: Viewport): void => {
    view = next;
    painter.request();
  };
  function describe(): void {
    const last = limits().total - 1;
    for (const [name, value] of Object.entries({ valuemin: 0, valuemax: last, valuenow: Math.min(cursor, last) }))
      canvas.setAttribute(`aria-${name}`, String(value));
    canvas.setAttribute('aria-valuetext', sentenceOf(cursor));
  }
  return {
    get view() {
      return view;
    },
    get cursor() {
      return cursor;
    },
    get total() {
      return limits().total;
    },
    show(content, theme) {
      const isOther = content.a.rows !== shown?.content.a.rows;
      shown = { content, theme };
      if (isOther) [view, cursor] = [whole(limits()), 0];
      describe();
      painter.request();
    },
    moveTo(place) {
      cursor = Math.min(limits().total - 1, Math.max(0, place));
      change(revealing(view, cursor, limits()));
      describe();
      const { left, top, width, height } = canvas.getBoundingClientRect();
      onHover(cursor, { x: left + ((cursor + 0.5 - view.start) / view.length) * width, y: top + height / 2 });
    },
    zoom: (factor, anchor) => change(zoomed(view, factor, anchor, limits())),
    pan: (from, places) => change(panned(from, places, limits())),
    fit: () => change(whole(limits())),
    redraw: painter.request,
  };
}

function takeKeys(canvas: HTMLCanvasElement, scene: StripScene): void {
  const step = ({ shiftKey }: KeyboardEvent): number => Math.max(1, Math.round(scene.view.length / KEY_PARTS)) * (shiftKey ? 10 : 1);
  const by = (steps: number) => (event: KeyboardEvent) => scene.moveTo(scene.cursor + steps * step(event));
  /** Zooms around the cursor. */
  const zoom = (factor: number) => () => {
    scene.zoom(factor, (scene.cursor + 0.5 - scene.view.start) / scene.view.length);
    scene.moveTo(scene.cursor);
  };
  onKeys(canvas, {
    ArrowLeft: by(-1),
    ArrowRight: by(1),
    PageUp: by(-40),
    PageDown: by(40),
    Home: () => scene.moveTo(0),
    End: () => scene.moveTo(scene.total - 1),
    '+': zoom(KEY_ZOOM),
    '=': zoom(KEY_ZOOM),
    '-': zoom(1 / KEY_ZOOM),
    '0': scene.fit,
  });
}

function takePointer(canvas: HTMLCanvasElement, scene: StripScene, { onHover }: StripViewParams): void {
  onDrag(canvas, {
    slackPx: 0,
    hoversInDrag: true,
    hold: ({ clientX }) => ({ x: clientX, view: scene.view }),
    move: ({ x, view }, { clientX }) => scene.pan(view, ((x - clientX) / canvas.clientWidth) * view.length),
    hover: event => {
      const place = Math.floor(scene.view.start + shareOf(event, canvas) * scene.view.length);
      onHover(Math.min(scene.total - 1, place), { x: event.clientX, y: event.clientY });
    },
    leave: () => onHover(undefined, { x: 0, y: 0 }),
  });
}

/** Zooms with the vertical wheel, because the strip does not scroll vertically; horizontal scrolling pans. */
function takeWheel(event: WheelEvent, scene: StripScene, canvas: HTMLCanvasElement): void {
  const { view } = scene;
  const scale = event.deltaMode === 0 ? 1 : 16;
  if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey)
    scene.pan(view, (((event.deltaX || event.deltaY) * scale) / canvas.clientWidth) * view.length);
  else scene.zoom(WHEEL_ZOOM ** (-event.deltaY * scale), shareOf(event, canvas));
  event.preventDefault();
}

/** The horizontal position of the pointer on the canvas, 0 to 1. */
function shareOf(event: MouseEvent, canvas: HTMLCanvasElement): number {
  const { left, width } = canvas.getBoundingClientRect();
  return Math.min(1, Math.max(0, (event.clientX - left) / width));
}
