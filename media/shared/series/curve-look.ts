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

export interface LineStyle {
  /** In pixels. */
  readonly width: number;
  readonly alpha: number;
}

/**
 * The line of a curve; `isFaint` for a raw curve behind a smoothed one. In high-contrast themes, a raw curve has the contrast of 3 to 1 that
 * WCAG 2 requires of graphics, so a wider line makes the smoothed curve stand out.
 */
export function lineStyle(isFaint: boolean, isHighContrast: boolean): LineStyle {
  if (!isFaint) return { width: isHighContrast ? 2.5 : 1.75, alpha: 1 };
  return { width: 1, alpha: isHighContrast ? 0.75 : 0.35 };
}
