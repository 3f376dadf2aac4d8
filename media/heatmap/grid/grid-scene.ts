/** The state of the drawn grid: its content, the visible rows, the cursor and the hovered cell. Every change redraws the canvas. */
import { createPainter } from '../../shared/painter.ts';
import type { Theme } from '../../shared/theme.ts';
import type { Grid } from './grid.ts';
import { type Cursor, type CursorKey, moduleAt, movedCursor } from './grid-cursor.ts';
import { drawGrid, type GridContent, type GridGeometry, geometryOf } from './grid-drawing.ts';
import { bounded, completing, type Limits, panned, revealing, type Viewport, whole, zoomed, zoomedAt } from './viewport.ts';

export interface GridState {
  readonly content: GridContent;
  readonly theme: Theme;
  /** Undefined until the first frame, which chooses the view by the size of the canvas. */
  readonly view: Viewport | undefined;
  readonly cursor: Cursor;
  /** Index of the hovered module, or −1. */
  readonly hovered: number;
}

export interface GridScene {
  /** Undefined until there is content. */
  readonly state: GridState | undefined;
  /** The layout of the canvas; undefined without rows. */
  readonly geometry: GridGeometry | undefined;
  show(content: GridContent, theme: Theme): void;
  set(change: Partial<Pick<GridState, 'cursor' | 'hovered'>>): void;
  moveCursor(key: CursorKey): void;
  /** @param anchor the height in the view that stays in place, 0 to 1 */
  zoom(factor: number, anchor: number): void;
  /** Zooms around the cursor, whose row stays in view. */
  zoomAtCursor(factor: number): void;
  /** Moves the view by a number of rows. Returns false if it is at the end and did not move. */
  pan(from: Viewport, rows: number): boolean;
  fit(): void;
  redraw(): void;
}

/** Height below which cells are hard to hit, so that the view starts zoomed in. */
const MIN_CELL_HEIGHT = 3;
const LARGEST_CELL_HEIGHT = 120;
/** Height of the column labels and of the space below the cells, in pixels. */
const AROUND_CELLS = 40;

/** @param hasFocus returns true if the cursor is drawn */
export function createGridScene(canvas: HTMLCanvasElement, hasFocus: () => boolean): GridScene {
  let state: GridState | undefined;
  let drawnHeight: number | undefined;
  const painter = createPainter(canvas, ({ context, size }) => {
    // After a resize, the rows are larger or smaller, and the view may begin or end within the row of the cursor.
    if (size.height !== drawnHeight && state?.view) {
      const limits = limitsOf(state.content.grid);
      state = { ...state, view: completing(bounded(state.view, limits), state.cursor.row, limits) };
    }
    drawnHeight = size.height;
    const geometry = geometryNow();
    if (!state || !geometry) return;
    state = { ...state, view: geometry.view };
    const { content, theme, hovered } = state;
    const cursor = hasFocus() ? state.cursor : undefined;
    const isWhole = drawGrid({ context, size, content, theme, geometry, cursor, hovered });
    if (!isWhole) painter.request();
  });
  const bodyHeight = (): number => Math.max(1, painter.size.height - AROUND_CELLS);
  const limitsOf = ({ rows }: Grid): Limits => ({
    total: rows.length,
    least: Math.min(rows.length, bodyHeight() / LARGEST_CELL_HEIGHT),
  });
  function geometryNow(): GridGeometry | undefined {
    if (!state || state.content.grid.rows.length === 0) return undefined;
    const { theme, content, view } = state;
    const start = view ?? { start: 0, length: Math.min(content.grid.rows.length, bodyHeight() / MIN_CELL_HEIGHT) };
    return geometryOf(painter.context, painter.size, content.grid, theme, bounded(start, limitsOf(content.grid)));
  }
  function set(change: Partial<GridState>): void {
    if (!state) return;
    state = { ...state, ...change };
    painter.request();
  }
  return {
    get state() {
      return state;
    },
    get geometry() {
      return geometryNow();
    },
    show(content, theme) {
      const isSame = state !== undefined && isSameShape(state.content.grid, content.grid);
      const opened = content.opened === undefined ? undefined : content.grid.places[content.opened];
      const { view, cursor = { row: 0, column: 0 }, hovered = -1 } = state ?? {};
      state = { content, theme, view: isSame ? view : undefined, cursor: opened ?? cursor, hovered };
      painter.request();
    },
    set,
    moveCursor(key) {
      const view = geometryNow()?.view;
      if (!state || !view) return;
      const { grid } = state.content;
      const cursor = movedCursor(grid, state.cursor, key, Math.max(1, Math.floor(view.length - 1)));
      if (cursor !== state.cursor) set({ cursor, view: revealing(view, cursor.row, limitsOf(grid)) });
    },
    zoom(factor, anchor) {
      const view = geometryNow()?.view;
      if (state && view) set({ view: zoomed(view, factor, anchor, limitsOf(state.content.grid)) });
    },
    zoomAtCursor(factor) {
      const view = geometryNow()?.view;
      if (state && view) set({ view: zoomedAt(view, factor, state.cursor.row, limitsOf(state.content.grid)) });
    },
    pan(from, rows) {
      if (!state) return false;
      const view = panned(from, rows, limitsOf(state.content.grid));
      set({ view });
      return view.start !== from.start;
    },
    fit: () => state && set({ view: whole({ total: state.content.grid.rows.length, least: 1 }) }),
    redraw: painter.request,
  };
}

const isSameShape = (a: Grid, b: Grid): boolean => a.rows.length === b.rows.length && a.columns.length === b.columns.length;

/** Returns the module under the pointer, or −1. */
export function moduleUnder({ clientX, clientY }: MouseEvent, { state, geometry }: GridScene, canvas: HTMLCanvasElement): number {
  if (!state || !geometry) return -1;
  const { grid } = state.content;
  const { left, top } = canvas.getBoundingClientRect();
  const { gutter, header, cellWidth, cellHeight, view } = geometry;
  const [x, y] = [clientX - left - gutter, clientY - top - header];
  const [row, column] = [Math.floor(view.start + y / cellHeight), Math.floor(x / cellWidth)];
  return x < 0 || y < 0 || row >= grid.rows.length || column >= grid.columns.length ? -1 : moduleAt(grid, { row, column });
}

/** Returns the module at the cursor, or −1. */
export const moduleAtCursor = ({ state }: GridScene): number => (state ? moduleAt(state.content.grid, state.cursor) : -1);
