/** Batches that several devices compute at the same time: a program has one shape. */
import type { PlannedBatch } from './batch-plan.ts';

/** As many batches of one shape in a row as there are devices, fewer at the end of a shape. On one device, each batch by itself, in their order. */
export function alikeBatches(all: readonly PlannedBatch[], devices: number): (readonly PlannedBatch[])[] {
  if (devices === 1) return all.map(batch => [batch]);
  const shapes = new Map<string, PlannedBatch[]>();
  for (const batch of all) {
    const { batch: rows, tokens, targets } = batch.bucket;
    const name = `${rows}×${tokens} ${targets}`;
    const alike = shapes.get(name) ?? [];
    shapes.set(name, alike);
    alike.push(batch);
  }
  return [...shapes.values()].flatMap(alike =>
    Array.from({ length: Math.ceil(alike.length / devices) }, (_, round) => alike.slice(round * devices, (round + 1) * devices)),
  );
}
