/** Measures of the samples of many batches, as sums that can be added and saved. */

/** By name: the sum over what was measured, and how many that were. */
export type MeasureSums = Readonly<Record<string, [sum: number, count: number]>>;

export function addSums(a: MeasureSums, b: MeasureSums): MeasureSums {
  const all: Record<string, [number, number]> = { ...a };
  for (const [name, [sum, count]] of Object.entries(b)) {
    const before = all[name];
    all[name] = before ? [before[0] + sum, before[1] + count] : [sum, count];
  }
  return all;
}

/** The mean of each measure; one of nothing is left out. */
export const meansOf = (sums: MeasureSums): Record<string, number> =>
  Object.fromEntries(Object.entries(sums).flatMap(([name, [sum, count]]) => (count > 0 ? [[name, sum / count]] : [])));
