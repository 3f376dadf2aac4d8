/** Groups batches of one shape for several devices, which compute them at the same time: a program has one shape. */
import type { PlannedBatch } from './batch-plan.ts';

/**
 * Groups of `devices` consecutive batches of one shape; the last group of a shape may be smaller. On one device, each batch is a group, in
 * the original order.
 */
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
