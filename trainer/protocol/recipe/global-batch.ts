/** The parts of a batch: one per process of a run, or per device of its process. */
interface PartSettings {
  readonly processes: number;
  readonly devices: number;
}

/** The settings that determine how many rows an update averages over. */
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
