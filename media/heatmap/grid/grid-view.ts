/**
 * The grid on its canvas, for mouse and keyboard. It pans and zooms along the layers, has a cell cursor, and shows the neurons of each cell
 * if there is room.
 */
import { onDrag } from '../../shared/drag.ts';
import { element, setText } from '../../shared/element.ts';
import { onKeys } from '../../shared/keys.ts';
import type { Theme } from '../../shared/theme.ts';
import { type CursorKey, cursorKeys } from './grid-cursor.ts';
import type { GridContent } from './grid-drawing.ts';
import { createGridScene, type GridScene, type GridState, moduleAtCursor, moduleUnder } from './grid-scene.ts';

export interface GridView {
  readonly element: HTMLElement;
  update(content: GridContent, theme: Theme): void;
  zoom(factor: number): void;
  fit(): void;
  focus(): void;
}

export interface GridViewParams {
  onHover(module: number | undefined, at: { readonly x: number; readonly y: number }): void;
  onOpen(module: number): void;
}

const WHEEL_ZOOM = 1.0025;
const KEY_ZOOM = 1.5;
/** Pixels that a pointer may move during a click. */
const CLICK_DISTANCE = 4;

export function createGridView(params: GridViewParams): GridView {
  const { root, canvas, describe } = createParts();
  const hasFocus = (): boolean => document.activeElement === root;
  const scene = createGridScene(canvas, hasFocus);
  const moveCursor = (key: CursorKey): void => {
    scene.moveCursor(key);
    describe(scene.state);
  };
  takeKeys(root, scene, moveCursor, params.onOpen);
  takePointer(canvas, scene, params);
  canvas.addEventListener('wheel', event => takeWheel(event, scene, canvas), { passive: false });
  root.addEventListener('focus', () => {
    if (moduleAtCursor(scene) < 0) scene.moveCursor('ArrowDown');
    describe(scene.state);
    scene.redraw();
  });
  root.addEventListener('blur', scene.redraw);
  return {
    element: root,
    update(content, theme) {
      scene.show(content, theme);
      if (hasFocus()) describe(scene.state);
    },
    zoom: factor => scene.zoom(factor, 0.5),
    fit: scene.fit,
    focus: () => root.focus(),
  };
}

/** Creates the canvas and one element that represents the cell at the cursor to screen readers. */
function createParts() {
  const id = 'heatmap-cursor';
  const canvas = element('canvas', { 'aria-hidden': 'true' });
  const cell = element('div', { role: 'gridcell', id });
  const row = element('div', { role: 'row', class: 'visually-hidden' }, cell);
  const label = 'Importance by layer and module. Arrow keys move between cells, Enter opens a cell, plus and minus zoom.';
  const root = element(
    'div',
    { class: 'grid-view', role: 'grid', tabindex: '0', 'aria-label': label, 'aria-activedescendant': id },
    canvas,
    row,
  );
  const describe = (state: GridState | undefined): void => {
    if (!state) return;
    const { content, cursor } = state;
    const module = content.grid.cells[cursor.row * content.grid.columns.length + cursor.column] ?? -1;
    root.setAttribute('aria-rowcount', String(content.grid.rows.length));
    root.setAttribute('aria-colcount', String(content.grid.columns.length));
    row.setAttribute('aria-rowindex', String(cursor.row + 1));
    cell.setAttribute('aria-colindex', String(cursor.column + 1));
    cell.setAttribute('aria-selected', String(module >= 0 && module === content.opened));
    setText(cell, module < 0 ? 'no module' : content.sentenceOf(module));
  };
  return { root, canvas, describe };
}

function takeKeys(root: HTMLElement, scene: GridScene, moveCursor: (key: CursorKey) => void, onOpen: (module: number) => void): void {
  const open = (): void => {
    const module = moduleAtCursor(scene);
    if (module >= 0) onOpen(module);
  };
  const zoomIn = (): void => scene.zoomAtCursor(KEY_ZOOM);
  onKeys(root, {
    ...Object.fromEntries(cursorKeys.map(key => [key, () => moveCursor(key)])),
    '+': zoomIn,
    '=': zoomIn,
    '-': () => scene.zoomAtCursor(1 / KEY_ZOOM),
    '0': scene.fit,
    Enter: open,
    ' ': open,
  });
}

function takePointer(canvas: HTMLCanvasElement, scene: GridScene, { onHover, onOpen }: GridViewParams): void {
  const hover = (module: number, at = { x: 0, y: 0 }): void => {
    if (module !== scene.state?.hovered) scene.set({ hovered: module });
    onHover(module < 0 ? undefined : module, at);
  };
  onDrag(canvas, {
    slackPx: CLICK_DISTANCE,
    hold: ({ clientY }) => scene.geometry && { y: clientY, view: scene.geometry.view },
    move: ({ y, view }, { clientY }) => {
      onHover(undefined, { x: 0, y: 0 });
      scene.pan(view, (y - clientY) / (scene.geometry?.cellHeight ?? 1));
    },
    hover: event => hover(moduleUnder(event, scene, canvas), { x: event.clientX, y: event.clientY }),
    leave: () => hover(-1),
    click: event => {
      const module = moduleUnder(event, scene, canvas);
      const cursor = scene.state?.content.grid.places[module];
      if (!cursor) return;
      scene.set({ cursor });
      onOpen(module);
    },
  });
}

/** Pans with the wheel; with Ctrl or Cmd, zooms. At either end, the page scrolls. */
function takeWheel(event: WheelEvent, scene: GridScene, canvas: HTMLCanvasElement): void {
  const { geometry } = scene;
  if (!geometry) return;
  const { header, cellHeight, bodyHeight, view } = geometry;
  if (event.ctrlKey || event.metaKey) {
    const y = event.clientY - canvas.getBoundingClientRect().top - header;
    scene.zoom(WHEEL_ZOOM ** -pixels(event), Math.min(1, Math.max(0, y / bodyHeight)));
  } else if (!scene.pan(view, pixels(event) / cellHeight)) return;
  event.preventDefault();
}

/** Converts wheel steps of lines or pages to pixels. */
const pixels = ({ deltaY, deltaMode }: WheelEvent): number => deltaY * (deltaMode === 0 ? 1 : deltaMode === 1 ? 16 : 400);
