/** The cells of the grid that are outlined. Pure. */
import type { Grid } from './grid.ts';

export interface Outline {
  readonly row: number;
  readonly column: number;
  readonly color: string;
  /** Line width in pixels. */
  readonly width: number;
}

interface OutlinedCells {
  readonly content: { readonly grid: Pick<Grid, 'places'>; readonly opened?: number };
  readonly cursor: Pick<Outline, 'row' | 'column'> | undefined;
  /** Index of the hovered module, or −1. */
  readonly hovered: number;
}

/**
 * Returns the outlines of cells in drawing order. Because cells are dark or light, a line of one color would be invisible on some. The open
 * cell and the cell under the cursor therefore have a second frame in the background's color around the first. Themes of high contrast
 * frame every cell, so there the frames are twice as wide.
 */
export function outlinesOf(
  { content, cursor, hovered }: OutlinedCells,
  theme: Readonly<Record<'foreground' | 'background' | 'accent' | 'focus', string>> & { readonly isHighContrast: boolean },
): Outline[] {
  const width = theme.isHighContrast ? 4 : 2;
  const at = (module: number | undefined) => (module === undefined ? undefined : content.grid.places[module]);
  const framed = (place: Pick<Outline, 'row' | 'column'> | undefined, color: string): Outline[] =>
    place === undefined
      ? []
      : [
          { row: place.row, column: place.column, color: theme.background, width: 2 * width },
          { row: place.row, column: place.column, color, width },
        ];
  const under = at(hovered);
  return [
    ...(under ? [{ row: under.row, column: under.column, color: theme.foreground, width: 1 }] : []),
    ...framed(at(content.opened), theme.accent),
    ...framed(cursor, theme.focus),
  ];
}
