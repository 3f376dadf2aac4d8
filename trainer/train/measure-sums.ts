/** Measures of the samples of many batches, stored as sums that can be added and saved. */

/** By name: the sum of the measured values, and their count. */
export type MeasureSums = Readonly<Record<string, [sum: number, count: number]>>;

export function addSums(a: MeasureSums, b: MeasureSums): MeasureSums {
  const all: Record<string, [number, number]> = { ...a };
  for (const [name, [sum, count]] of Object.entries(b)) {
    const before = all[name];
    all[name] = before ? [before[0] + sum, before[1] + count] : [sum, count];
  }
  return all;
}

/** The mean of each measure; measures without values are omitted. */
export const meansOf = (sums: MeasureSums): Record<string, number> =>
  Object.fromEntries(Object.entries(sums).flatMap(([name, [sum, count]]) => (count > 0 ? [[name, sum / count]] : [])));
