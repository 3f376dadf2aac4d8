/** The parts of a batch: one for each process of a run, or for each device of its process. */
interface PartSettings {
  readonly processes: number;
  readonly devices: number;
}

/** The rows over which an update of a run averages. */
interface BatchSettings extends PartSettings {
  readonly per_device_train_batch_size: number;
  readonly gradient_accumulation_steps: number;
}

/** The number of parts of a batch, each of per_device_train_batch_size samples. */
export const partsOfBatch = ({ processes, devices }: PartSettings): number => processes * devices;

/** "16 rows (4 processes × 2 × 2 accumulated)". */
export function globalBatchText(settings: BatchSettings): string {
  const { processes, devices, per_device_train_batch_size: batch, gradient_accumulation_steps: accumulation } = settings;
  const parts = devices > 1 ? `${devices} devices` : `${processes} processes`;
  const accumulated = accumulation > 1 ? ` × ${accumulation} accumulated` : '';
  return `${partsOfBatch(settings) * batch * accumulation} rows (${parts} × ${batch}${accumulated})`;
}
