/** Describes how a cost grows: the line through its points, how well it fits, and the power of the size that the cost follows. */

export interface LineFit {
  readonly intercept: number;
  readonly slope: number;
  /** Share of the variance that the line explains; 1 if the points do not vary. */
  readonly r2: number;
  /**
   * The exponent p in cost − intercept ~ sizeᵖ. It is near 1 for a line; without subtracting the intercept, it is lower if part of the cost
   * is constant.
   */
  readonly exponent: number;
}

export type SizeAndCost = readonly [size: number, cost: number];

/** Fits by least squares; the exponent is the slope of the logarithms. @throws RangeError for fewer than two sizes */
export function fitLine(points: readonly SizeAndCost[]): LineFit {
  const { slope, intercept, r2 } = leastSquares(points);
  const positive = points.filter(([size, cost]) => size > 0 && cost > 0);
  return {
    ...{ intercept, slope, r2 },
    exponent: leastSquares(positive.map(([size, cost]) => [Math.log(size), Math.log(cost)])).slope,
  };
}

/** Fits by least squares of relative errors, so that costs of all magnitudes count equally. @throws RangeError for fewer than two sizes */
export const fitRelativeLine = (points: readonly SizeAndCost[]): Omit<LineFit, 'exponent'> =>
  leastSquares(points, ([, cost]) => cost ** -2);

function leastSquares(points: readonly SizeAndCost[], weightOf: (point: SizeAndCost) => number = () => 1): Omit<LineFit, 'exponent'> {
  if (new Set(points.map(([x]) => x)).size < 2) throw new RangeError('a line needs points at two sizes or more');
  const weights = points.map(weightOf);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const mean = (values: readonly number[]): number => values.reduce((sum, value, i) => sum + value * (weights[i] ?? 0), 0) / total;
  const [mx, my] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))];
  const sxx = mean(points.map(([x]) => (x - mx) ** 2));
  const sxy = mean(points.map(([x, y]) => (x - mx) * (y - my)));
  const syy = mean(points.map(([, y]) => (y - my) ** 2));
  const slope = sxy / sxx;
  return { slope, intercept: my - slope * mx, r2: syy === 0 ? 1 : (slope * sxy) / syy };
}
