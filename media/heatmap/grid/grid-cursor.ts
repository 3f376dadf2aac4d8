/** The cell cursor of the grid and how keys move it. Pure. */
import type { Grid } from './grid.ts';

export interface Cursor {
  readonly row: number;
  readonly column: number;
}

export const cursorKeys = [
  'ArrowUp',
  'ArrowDown',
  'ArrowLeft',
  'ArrowRight',
  'PageUp',
  'PageDown',
  'Home',
  'End',
  'Control+Home',
  'Control+End',
] as const;

export type CursorKey = (typeof cursorKeys)[number];

/** The index of the module in a cell; −1 for an empty cell. */
export const moduleAt = ({ cells, columns }: Grid, { row, column }: Cursor): number => cells[row * columns.length + column] ?? -1;

/** @param page number of rows that Page Up and Page Down move by */
export function movedCursor(grid: Grid, cursor: Cursor, key: CursorKey, page: number): Cursor {
  const { row, column } = cursor;
  switch (key) {
    case 'ArrowUp':
      return stepped(grid, cursor, -1, 0);
    case 'ArrowDown':
      return stepped(grid, cursor, 1, 0);
    case 'ArrowLeft':
      return stepped(grid, cursor, 0, -1);
    case 'ArrowRight':
      return stepped(grid, cursor, 0, 1);
    case 'PageUp':
      return within(grid, { row: row - page, column });
    case 'PageDown':
      return within(grid, { row: row + page, column });
    case 'Home':
      return within(grid, { row, column: 0 });
    case 'End':
      return within(grid, { row, column: grid.columns.length });
    case 'Control+Home':
      return within(grid, { row: 0, column: 0 });
    case 'Control+End':
      return within(grid, { row: grid.rows.length, column: grid.columns.length });
  }
}

/** Moves to the next cell with a module in the given direction; rows have gaps. Stays in place if there is none. */
function stepped(grid: Grid, cursor: Cursor, dRow: number, dColumn: number): Cursor {
  let { row, column } = cursor;
  for (;;) {
    row += dRow;
    column += dColumn;
    if (row < 0 || column < 0 || row >= grid.rows.length || column >= grid.columns.length) return cursor;
    const isHole = moduleAt(grid, { row, column }) < 0;
    if (!isHole) return { row, column };
    const near = dRow === 0 ? undefined : nearestIn(grid, row, column);
    if (near !== undefined) return { row, column: near };
  }
}

/** The column of the nearest module in a row. */
function nearestIn(grid: Grid, row: number, column: number): number | undefined {
  const filled = [...grid.columns.keys()].filter(at => moduleAt(grid, { row, column: at }) >= 0);
  return filled.sort((a, b) => Math.abs(a - column) - Math.abs(b - column))[0];
}

/** The nearest cell with a module in the nearest row. */
function within(grid: Grid, cursor: Cursor): Cursor {
  const row = clamp(cursor.row, grid.rows.length - 1);
  const column = clamp(cursor.column, grid.columns.length - 1);
  return { row, column: nearestIn(grid, row, column) ?? column };
}

const clamp = (value: number, last: number): number => Math.min(Math.max(0, value), Math.max(0, last));
