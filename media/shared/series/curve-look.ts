/** The appearance of curves in a chart: names of the editor's colors, and dash patterns. */

/** Colors in the order in which curves use them; neighbors differ in hue and lightness. */
const CURVE_COLORS = ['blue', 'orange', 'green', 'purple', 'red', 'yellow'] as const;
export type CurveColor = (typeof CURVE_COLORS)[number] | 'foreground' | 'lines';

/** Dash patterns: the first round of colors is solid, the second dashed, the third dotted. */
const DASHES: readonly (readonly number[])[] = [[], [6, 3], [2, 3]];

export interface CurveLook {
  readonly color: CurveColor;
  /** Lengths of dashes and gaps in pixels; empty for a solid line. */
  readonly dash: readonly number[];
}

export function curveLook(index: number): CurveLook {
  const color = CURVE_COLORS[index % CURVE_COLORS.length] ?? 'blue';
  return { color, dash: DASHES[Math.floor(index / CURVE_COLORS.length) % DASHES.length] ?? [] };
}
