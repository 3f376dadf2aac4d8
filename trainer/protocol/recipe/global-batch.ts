/** The rows over which an update of a run averages. */
interface BatchSettings {
  readonly processes: number;
  readonly per_device_train_batch_size: number;
  readonly gradient_accumulation_steps: number;
}

/** "16 rows (4 processes × 2 × 2 accumulated)". */
export function globalBatchText({
  processes,
  per_device_train_batch_size: batch,
  gradient_accumulation_steps: accumulation,
}: BatchSettings): string {
  const accumulated = accumulation > 1 ? ` × ${accumulation} accumulated` : '';
  return `${processes * batch * accumulation} rows (${processes} processes × ${batch}${accumulated})`;
}
