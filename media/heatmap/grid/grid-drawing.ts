/** Draws the visible part of the grid: labels and cells, with values and profiles if they fit. Stateless between frames. */
import { type ColorMap, colorIndex, inkOn } from '../../shared/color-maps.ts';
import type { Theme } from '../../shared/theme.ts';
import type { CellScores } from '../score-store.ts';
import { columnRuns, type Grid, lastParts } from './grid.ts';
import { outlinesOf } from './outlines.ts';
import type { Viewport } from './viewport.ts';

export interface GridContent {
  readonly grid: Grid;
  readonly names: readonly string[];
  /** Position of each module in the color map, 0 to 1; NaN if unknown. */
  readonly positions: Float64Array;
  readonly map: ColorMap;
  /** Returns the text inside a cell, if it is large enough. */
  readonly textOf: (module: number) => string;
  /** Returns the full description of a cell. */
  readonly sentenceOf: (module: number) => string;
  /** Returns undefined without scores. */
  readonly cellOf: (module: number) => CellScores | undefined;
  readonly opened?: number;
}

export interface GridGeometry {
  /** Width of the row labels, left of the cells. */
  readonly gutter: number;
  /** Height of the column labels, above the cells. */
  readonly header: number;
  readonly cellWidth: number;
  readonly cellHeight: number;
  readonly bodyHeight: number;
  readonly view: Viewport;
}

const FONT_SIZE = 11;
/** The heading above the row labels. */
const ROW_TITLE = 'layer';
const HEADER = 24;
/** Width of the bar that shows the visible range. */
const MARGIN = 10;
/** Minimum sizes of cells that show their value or profile. */
const TEXT_HEIGHT = 15;
const PROFILE_HEIGHT = 34;
const PROFILE_WIDTH = 40;
/** Time for drawing new profiles in a frame, in ms; the rest follow in the next frame. */
const PROFILES_MS = 3;
const WIDEST_GUTTER = 110;

export function geometryOf(
  context: CanvasRenderingContext2D,
  size: { readonly width: number; readonly height: number },
  grid: Grid,
  theme: Theme,
  view: Viewport,
): GridGeometry {
  context.font = `${FONT_SIZE}px ${theme.font}`;
  const widest = Math.max(...grid.rows.map(({ label }) => label.length));
  const needed = Math.max(context.measureText('0').width * (widest + 1), context.measureText(ROW_TITLE).width);
  const gutter = Math.min(WIDEST_GUTTER, Math.ceil(needed) + 8);
  const bodyHeight = Math.max(1, size.height - HEADER - 4);
  return {
    gutter,
    header: HEADER,
    cellWidth: Math.max(1, (size.width - gutter - MARGIN) / Math.max(1, grid.columns.length)),
    cellHeight: bodyHeight / view.length,
    bodyHeight,
    view,
  };
}

export interface DrawGridParams {
  readonly context: CanvasRenderingContext2D;
  readonly size: { readonly width: number; readonly height: number };
  readonly content: GridContent;
  readonly theme: Theme;
  readonly geometry: GridGeometry;
  readonly cursor: { readonly row: number; readonly column: number } | undefined;
  /** Index of the hovered module, or −1. */
  readonly hovered: number;
}

/** @returns false if profiles are missing that the next frame can draw */
export function drawGrid(params: DrawGridParams): boolean {
  const { context, size, content, geometry } = params;
  const { header, bodyHeight, view } = geometry;
  context.save();
  context.beginPath();
  context.rect(0, header, size.width, bodyHeight);
  context.clip();
  const [first, last] = [Math.floor(view.start), Math.min(content.grid.rows.length, Math.ceil(view.start + view.length))];
  const isWhole = drawCells(params, first, last);
  drawRowLabels(params, first, last);
  drawOutlines(params);
  context.restore();
  drawColumnLabels(params);
  drawPlace(params);
  return isWhole;
}

/** Rounds to whole pixels, so that neighbors share an edge. */
const topOf = ({ header, view, cellHeight }: GridGeometry, row: number): number => Math.round(header + (row - view.start) * cellHeight);
const leftOf = ({ gutter, cellWidth }: GridGeometry, column: number): number => Math.round(gutter + column * cellWidth);

function drawCells({ context, content, theme, geometry }: DrawGridParams, first: number, last: number): boolean {
  const { grid, positions, map } = content;
  const endMs = performance.now() + PROFILES_MS;
  let isWhole = true;
  const { cellWidth, cellHeight } = geometry;
  const width = grid.columns.length;
  const gap = cellHeight >= 9 ? 1 : 0;
  const hasText = cellHeight >= TEXT_HEIGHT && cellWidth >= PROFILE_WIDTH;
  context.textBaseline = 'middle';
  for (let row = first; row < last; row++) {
    const [y, bottom] = [topOf(geometry, row), topOf(geometry, row + 1)];
    for (let column = 0; column < width; column++) {
      const module = grid.cells[row * width + column] ?? -1;
      if (module < 0) continue;
      const [x, right] = [leftOf(geometry, column), leftOf(geometry, column + 1)];
      const position = positions[module] ?? Number.NaN;
      const index = Number.isNaN(position) ? -1 : colorIndex(position);
      context.fillStyle = index < 0 ? theme.border : (map.css[index] ?? theme.border);
      context.globalAlpha = index < 0 ? 0.3 : 1;
      context.fillRect(x, y, Math.max(1, right - x - 1), Math.max(1, bottom - y - gap));
      context.globalAlpha = 1;
      if (theme.isHighContrast && gap > 0) {
        context.strokeStyle = theme.border;
        context.lineWidth = 1;
        context.strokeRect(x + 0.5, y + 0.5, right - x - 2, bottom - y - gap - 1);
      }
      if (hasText)
        isWhole =
          drawInside(
            context,
            content,
            module,
            index < 0 ? theme.foreground : inkOn(map, index),
            { x, y, width: right - x - 1, height: bottom - y - gap },
            performance.now() < endMs,
          ) && isWhole;
    }
  }
  return isWhole;
}

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** @returns false if a profile exists but there was no time left to draw it */
function drawInside(
  context: CanvasRenderingContext2D,
  content: GridContent,
  module: number,
  ink: string,
  box: Box,
  hasTime: boolean,
): boolean {
  const { x, y, width, height } = box;
  const hasProfile = height >= PROFILE_HEIGHT;
  const place = content.grid.places[module];
  const isBlock = place !== undefined && (content.grid.rows[place.row]?.isBlock ?? false);
  const value = content.textOf(module);
  const text = isBlock ? value : `${lastParts(content.names[module] ?? '')} ${value}`;
  context.fillStyle = ink;
  context.textAlign = 'center';
  context.fillText(fitText(context, text, width - 6), x + width / 2, hasProfile ? y + 9 : y + height / 2 + 0.5);
  const cell = hasProfile ? content.cellOf(module) : undefined;
  if (!cell) return true;
  if (!cell.hasProfile && !hasTime) return false;
  const { profile } = cell;
  const [base, tall, part] = [y + height - 2, height - 20, (width - 4) / profile.length];
  context.beginPath();
  context.moveTo(x + 2, base);
  for (let i = 0; i < profile.length; i++) {
    const top = base - tall * (profile[i] ?? 0);
    context.lineTo(x + 2 + i * part, top);
    context.lineTo(x + 2 + (i + 1) * part, top);
  }
  context.lineTo(x + width - 2, base);
  context.globalAlpha = 0.55;
  context.fill();
  context.globalAlpha = 1;
  return true;
}

/** Memoized text widths; few different texts occur at one font size. */
const widths = new Map<string, number>();
const MAX_WIDTHS = 5000;

function fitText(context: CanvasRenderingContext2D, text: string, width: number): string {
  const key = `${context.font}\n${text}`;
  let full = widths.get(key);
  if (full === undefined) {
    full = context.measureText(text).width;
    if (widths.size >= MAX_WIDTHS) widths.clear();
    widths.set(key, full);
  }
  if (full <= width) return text;
  const letters = Math.floor((text.length * width) / full) - 1;
  return letters < 1 ? '' : `${text.slice(0, letters)}…`;
}

function drawRowLabels({ context, content, theme, geometry }: DrawGridParams, first: number, last: number): void {
  const { cellHeight, gutter, bodyHeight, header: top } = geometry;
  const stride = Math.max(1, Math.ceil((FONT_SIZE + 3) / cellHeight));
  context.textAlign = 'right';
  context.fillStyle = theme.muted;
  let lowest = Number.NEGATIVE_INFINITY;
  for (let row = first; row < last; row++) {
    const { label, isBlock } = content.grid.rows[row] ?? { label: '', isBlock: true };
    // A label that is taller than its row would be cut off at the top or bottom edge.
    const middle = topOf(geometry, row) + cellHeight / 2;
    const y = cellHeight < FONT_SIZE ? Math.min(Math.max(middle, top + FONT_SIZE / 2), top + bodyHeight - FONT_SIZE / 2) : middle;
    // Rows outside the blocks are always labeled, unless the label would cover another one.
    const number = row - content.grid.rows.findIndex(each => each.isBlock);
    if ((isBlock && number % niceStride(stride) !== 0) || y - lowest < FONT_SIZE) continue;
    context.fillText(fitText(context, label, gutter - 6), gutter - 6, y);
    lowest = y;
  }
}

/** Rounds up to 1, 2, 5, 10, 20, … */
function niceStride(stride: number): number {
  const power = 10 ** Math.floor(Math.log10(stride));
  return [1, 2, 5, 10].map(factor => factor * power).find(nice => nice >= stride) ?? stride;
}

function drawColumnLabels({ context, content, theme, geometry }: DrawGridParams): void {
  context.textBaseline = 'middle';
  context.textAlign = 'right';
  context.fillStyle = theme.muted;
  context.fillText(ROW_TITLE, geometry.gutter - 6, HEADER / 2);
  context.textAlign = 'center';
  const { columns } = content.grid;
  const { gutter, cellWidth } = geometry;
  const isNarrow = cellWidth < PROFILE_WIDTH;
  const runs = isNarrow ? columnRuns(columns) : columns.map(({ label }, first) => ({ first, count: 1, label }));
  for (const { first, count, label } of runs) {
    context.fillStyle = theme.foreground;
    context.fillText(fitText(context, label, count * cellWidth - 2), gutter + (first + count / 2) * cellWidth, HEADER / 2);
    // Mark where the columns of the label begin and end, because narrow cells have no gaps.
    context.fillStyle = theme.muted;
    if (count > 1) for (const edge of [first, first + count]) context.fillRect(leftOf(geometry, edge) - 1, HEADER - 7, 1, 6);
  }
}

function drawOutlines(params: DrawGridParams): void {
  const { context, theme, geometry } = params;
  for (const { row, column, color, width } of outlinesOf(params, theme)) {
    const [x, y] = [leftOf(geometry, column), topOf(geometry, row)];
    context.strokeStyle = color;
    context.lineWidth = width;
    context.strokeRect(x - 0.5, y - 0.5, leftOf(geometry, column + 1) - x, Math.max(3, topOf(geometry, row + 1) - y));
  }
}

/** Draws a bar at the right that shows which part of the layers is visible. */
function drawPlace({ context, size, content, theme, geometry }: DrawGridParams): void {
  const total = content.grid.rows.length;
  const { view, header, bodyHeight } = geometry;
  if (view.length >= total) return;
  context.fillStyle = theme.muted;
  context.globalAlpha = 0.6;
  context.fillRect(size.width - 6, header + (view.start / total) * bodyHeight, 4, Math.max(12, (view.length / total) * bodyHeight));
  context.globalAlpha = 1;
}
