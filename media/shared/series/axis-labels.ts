/** The labels of the axes of a chart. Pure. */

/**
 * The labels of the ticks of an axis of values. If the format writes some of them with an exponent and some without, as around 0.001, all
 * but zero get one.
 * @param splits values, or null for a tick without a label
 */
export function axisLabels(splits: readonly (number | null)[], format: (value: number) => string): string[] {
  const labels = splits.map(value => (value === null ? '' : format(value)));
  const isScientific = labels.some(label => /\de[-+]?\d/.test(label));
  if (!isScientific) return labels;
  return splits.map(value => (value === null ? '' : value === 0 ? '0' : Number(value.toPrecision(4)).toExponential()));
}

/** Formats 1200 as 1.2k, which fits on an axis. */
export function shortNumber(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(4))}M`;
  if (size >= 1e4) return `${Number((value / 1e3).toPrecision(4))}k`;
  return String(Number(value.toPrecision(6)));
}
