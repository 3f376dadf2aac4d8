/** The cells of the grid that are outlined. Pure. */
import type { Grid } from './grid.ts';

export interface Outline {
  readonly row: number;
  readonly column: number;
  readonly color: string;
  /** In pixels. */
  readonly width: number;
}

interface OutlinedCells {
  readonly content: { readonly grid: Pick<Grid, 'places'>; readonly opened?: number };
  readonly cursor: Pick<Outline, 'row' | 'column'> | undefined;
  /** A module, or −1. */
  readonly hovered: number;
}

/**
 * The outlines of cells, in the order in which they are drawn. Cells are dark and light, and a line of one color is lost on some of them: the
 * cell that is open and the one under the cursor have a frame in the background's color around theirs.
 */
export function outlinesOf(
  { content, cursor, hovered }: OutlinedCells,
  theme: Readonly<Record<'foreground' | 'background' | 'accent' | 'focus', string>>,
): Outline[] {
  const at = (module: number | undefined) => (module === undefined ? undefined : content.grid.places[module]);
  const framed = (place: Pick<Outline, 'row' | 'column'> | undefined, color: string): Outline[] =>
    place === undefined
      ? []
      : [
          { row: place.row, column: place.column, color: theme.background, width: 4 },
          { row: place.row, column: place.column, color, width: 2 },
        ];
  const under = at(hovered);
  return [
    ...(under ? [{ row: under.row, column: under.column, color: theme.foreground, width: 1 }] : []),
    ...framed(at(content.opened), theme.accent),
    ...framed(cursor, theme.focus),
  ];
}
