/**
 * The grid on its canvas: pans and zooms along the layers, has a cell cursor for keyboards, and shows each cell's
 * neurons when there is room.
 */

import { element, setText } from '../../shared/element.ts';
import { createPainter } from '../../shared/painter.ts';
import type { Theme } from '../../shared/theme.ts';
import { drawGrid, type GridContent, type GridGeometry, geometryOf } from './grid-drawing.ts';
import { bounded, type Limits, panned, revealing, type Viewport, whole, zoomed } from './viewport.ts';

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

/** Cells below this height are hard to hit, so the view starts zoomed in. */
const LEAST_CELL_HEIGHT = 3;
const LARGEST_CELL_HEIGHT = 120;
const WHEEL_ZOOM = 1.0025;
const KEY_ZOOM = 1.5;
/** A pointer that moves less than this has clicked. */
const CLICK_DISTANCE = 4;
const CELL_ID = 'heatmap-cursor';

export function createGridView({ onHover, onOpen }: GridViewParams): GridView {
  const canvas = element('canvas', { 'aria-hidden': 'true' });
  const cursorCell = element('div', { role: 'gridcell', id: CELL_ID });
  const cursorRow = element('div', { role: 'row', class: 'visually-hidden' }, cursorCell);
  const root = element(
    'div',
    {
      class: 'grid-view',
      role: 'grid',
      tabindex: '0',
      'aria-label': 'Importance by layer and module. Arrow keys move between cells, Enter opens a cell, plus and minus zoom.',
      'aria-activedescendant': CELL_ID,
    },
    canvas,
    cursorRow,
  );
  let content: GridContent | undefined;
  let theme: Theme | undefined;
  let view: Viewport | undefined;
  let cursor = { row: 0, column: 0 };
  let hovered = -1;
  let shape = '';

  const painter = createPainter(canvas, ({ context, size }) => {
    if (!content || !theme || content.grid.rows.length === 0) return;
    const geometry = geometryNow();
    view = geometry.view;
    const hasFocus = document.activeElement === root;
    const isWhole = drawGrid({ context, size, content, theme, geometry, cursor: hasFocus ? cursor : undefined, hovered });
    if (!isWhole) painter.request();
  });

  const limits = (): Limits => {
    const total = content?.grid.rows.length ?? 0;
    const body = Math.max(1, painter.size.height - 40);
    return { total, least: Math.min(total, body / LARGEST_CELL_HEIGHT) };
  };
  const geometryNow = (): GridGeometry => {
    const { grid } = content as GridContent;
    const mostRows = Math.max(1, (painter.size.height - 40) / LEAST_CELL_HEIGHT);
    const start = view ?? { start: 0, length: Math.min(grid.rows.length, mostRows) };
    return geometryOf(painter.context, painter.size, grid, theme as Theme, bounded(start, limits()));
  };
  const moduleAt = (row: number, column: number): number => content?.grid.cells[row * content.grid.columns.length + column] ?? -1;

  function cellUnder(event: MouseEvent): number {
    if (!content || !theme || content.grid.rows.length === 0) return -1;
    const { left, top } = canvas.getBoundingClientRect();
    const { gutter, header, cellWidth, cellHeight, view: now } = geometryNow();
    const [x, y] = [event.clientX - left - gutter, event.clientY - top - header];
    const [row, column] = [Math.floor(now.start + y / cellHeight), Math.floor(x / cellWidth)];
    const { rows, columns } = content.grid;
    return x < 0 || y < 0 || row >= rows.length || column >= columns.length ? -1 : moduleAt(row, column);
  }

  function change(next: Viewport): void {
    view = next;
    painter.request();
  }
  function zoomAt(factor: number, anchor: number): void {
    if (content && theme) change(zoomed(geometryNow().view, factor, anchor, limits()));
  }

  /** The cursor's position in the view, which zooming by keys keeps in place. */
  const anchorOfCursor = (): number => {
    const place = view ? (cursor.row + 0.5 - view.start) / view.length : 0.5;
    return place >= 0 && place <= 1 ? place : 0.5;
  };

  function moveTo(row: number, column: number): void {
    if (!content || !theme) return;
    const { rows, columns } = content.grid;
    cursor = { row: clamp(row, rows.length - 1), column: clamp(column, columns.length - 1) };
    view = revealing(geometryNow().view, cursor.row, limits());
    sayCursor();
    painter.request();
  }

  /** Ragged rows have holes: finds the next cell in the direction of the step. */
  function step(dRow: number, dColumn: number): void {
    if (!content) return;
    const { rows, columns } = content.grid;
    let { row, column } = cursor;
    for (;;) {
      row += dRow;
      column += dColumn;
      if (row < 0 || column < 0 || row >= rows.length || column >= columns.length) return;
      const found = moduleAt(row, column) >= 0 || dRow === 0 ? column : nearestIn(row, column);
      if (moduleAt(row, found) < 0) continue;
      moveTo(row, found);
      return;
    }
  }
  function nearestIn(row: number, column: number): number {
    const filled = [...(content?.grid.columns.keys() ?? [])].filter(at => moduleAt(row, at) >= 0);
    return filled.sort((a, b) => Math.abs(a - column) - Math.abs(b - column))[0] ?? -1;
  }

  function sayCursor(): void {
    if (!content) return;
    const module = moduleAt(cursor.row, cursor.column);
    root.setAttribute('aria-rowcount', String(content.grid.rows.length));
    root.setAttribute('aria-colcount', String(content.grid.columns.length));
    cursorRow.setAttribute('aria-rowindex', String(cursor.row + 1));
    cursorCell.setAttribute('aria-colindex', String(cursor.column + 1));
    cursorCell.setAttribute('aria-selected', String(module >= 0 && module === content.opened));
    setText(cursorCell, module < 0 ? 'no module' : content.sentenceOf(module));
  }

  const keys: Readonly<Record<string, () => void>> = {
    ArrowUp: () => step(-1, 0),
    ArrowDown: () => step(1, 0),
    ArrowLeft: () => step(0, -1),
    ArrowRight: () => step(0, 1),
    PageUp: () => moveTo(cursor.row - page(), cursor.column),
    PageDown: () => moveTo(cursor.row + page(), cursor.column),
    Home: () => moveTo(cursor.row, 0),
    End: () => moveTo(cursor.row, content?.grid.columns.length ?? 0),
    '+': () => zoomAt(KEY_ZOOM, anchorOfCursor()),
    '=': () => zoomAt(KEY_ZOOM, anchorOfCursor()),
    '-': () => zoomAt(1 / KEY_ZOOM, anchorOfCursor()),
    '0': fit,
    Enter: openCursor,
    ' ': openCursor,
  };
  const page = (): number => Math.max(1, Math.floor((view?.length ?? 1) - 1));
  function openCursor(): void {
    const module = moduleAt(cursor.row, cursor.column);
    if (module >= 0) onOpen(module);
  }
  function fit(): void {
    if (content) change(whole({ total: content.grid.rows.length, least: 1 }));
  }

  root.addEventListener('keydown', event => {
    const key = event.ctrlKey || event.metaKey || event.altKey ? undefined : keys[event.key];
    if (!key) return;
    event.preventDefault();
    key();
  });
  root.addEventListener('focus', () => {
    if (moduleAt(cursor.row, cursor.column) < 0) step(1, 0);
    sayCursor();
    painter.request();
  });
  root.addEventListener('blur', () => painter.request());
  canvas.addEventListener(
    'wheel',
    event => {
      if (!content || !theme) return;
      const { header, cellHeight, bodyHeight, view: now } = geometryNow();
      if (event.ctrlKey || event.metaKey) {
        const y = event.clientY - canvas.getBoundingClientRect().top - header;
        zoomAt(WHEEL_ZOOM ** -pixels(event), Math.min(1, Math.max(0, y / bodyHeight)));
      } else {
        const next = panned(now, pixels(event) / cellHeight, limits());
        if (next.start === now.start) return;
        change(next);
      }
      event.preventDefault();
    },
    { passive: false },
  );

  let drag: { readonly y: number; readonly view: Viewport; isPan: boolean } | undefined;
  canvas.addEventListener('pointerdown', event => {
    if (event.button !== 0 || !content || !theme) return;
    drag = { y: event.clientY, view: geometryNow().view, isPan: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener('pointermove', event => {
    if (drag && theme) {
      const moved = drag.y - event.clientY;
      drag.isPan ||= Math.abs(moved) > CLICK_DISTANCE;
      if (drag.isPan) {
        onHover(undefined, { x: 0, y: 0 });
        change(panned(drag.view, moved / geometryNow().cellHeight, limits()));
        return;
      }
    }
    hover(cellUnder(event), event);
  });
  canvas.addEventListener('pointerup', event => {
    const wasPan = drag?.isPan;
    drag = undefined;
    const module = cellUnder(event);
    if (wasPan || module < 0) return;
    cursor = content?.grid.places[module] ?? cursor;
    onOpen(module);
  });
  canvas.addEventListener('pointercancel', () => {
    drag = undefined;
  });
  canvas.addEventListener('pointerleave', () => hover(-1));
  function hover(module: number, event?: MouseEvent): void {
    if (module !== hovered) painter.request();
    hovered = module;
    onHover(module < 0 ? undefined : module, { x: event?.clientX ?? 0, y: event?.clientY ?? 0 });
  }

  return {
    element: root,
    update(next, nextTheme) {
      const nextShape = `${next.grid.rows.length} ${next.grid.columns.length}`;
      if (nextShape !== shape) view = undefined;
      shape = nextShape;
      [content, theme] = [next, nextTheme];
      if (next.opened !== undefined) cursor = next.grid.places[next.opened] ?? cursor;
      if (document.activeElement === root) sayCursor();
      painter.request();
    },
    zoom: factor => zoomAt(factor, 0.5),
    fit,
    focus: () => root.focus(),
  };
}

const clamp = (value: number, last: number): number => Math.min(Math.max(0, value), Math.max(0, last));
/** Wheels that scroll in lines or pages. */
const pixels = ({ deltaY, deltaMode }: WheelEvent): number => deltaY * (deltaMode === 0 ? 1 : deltaMode === 1 ? 16 : 400);
