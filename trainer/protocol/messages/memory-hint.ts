/** Says what to do about a lack of memory. */
import type { JobKind } from './job-messages.ts';

/** Returns how a job of this kind takes less memory. */
export const memoryHint = (kind?: JobKind): string =>
  kind === 'generate' || kind === 'serve'
    ? 'Hold the weights in fewer bits: on the command line, with --quantize nf4 or --dtype bfloat16'
    : 'Take less: a smaller per_device_train_batch_size or max_length, or recompute: block';
