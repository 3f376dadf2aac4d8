/** The environment of a worker process that runs TensorFlow. The addon takes no session options, so this is where they are set. */

import os from 'node:os';
import { totalMemoryBytes } from '../../machine/machine.ts';
import { LOAD_MAP_BYTES } from './heap.ts';

/** The share of the memory that XLA's client for GPUs may take. */
const HOST_SHARE = 0.8;

interface WorkerEnvironmentParams {
  readonly threads: number;
  readonly memoryBytes?: number | undefined;
}

/**
 * Variables to start a worker with; they must be there before the process starts, since libc and TensorFlow read them once.
 * @param threads cores that one operation may use
 * @param memoryBytes of the machine, or the limit of its container
 */
export function workerEnvironment({ threads, memoryBytes = totalMemoryBytes() }: WorkerEnvironmentParams): Record<string, string> {
  return {
    // One operation at a time, on all cores: the order of the schedule is what the memory plan counts on.
    TF_NUM_INTRAOP_THREADS: String(threads),
    TF_NUM_INTEROP_THREADS: '1',
    // The thread that runs the schedule takes its share of a product instead of sleeping until the others are done: 3 to 8% of a step on two cores.
    TF_ONEDNN_THREADPOOL_USE_CALLER_THREAD: '1',
    // oneDNN's own pool follows this where it is built with OpenMP.
    OMP_NUM_THREADS: String(threads),
    // Errors only: start-up notes would be taken for faults in the run's log.
    TF_CPP_MIN_LOG_LEVEL: '2',
    // Where a session begins, by loading; it moves the border itself (heap.ts).
    MALLOC_MMAP_THRESHOLD_: String(LOAD_MAP_BYTES),
    // The heap's end is given back between phases (heap.ts), not at every free within a step.
    MALLOC_TRIM_THRESHOLD_: String(512 * 2 ** 20),
    // One heap: schedule and kernels run one after the other, and a heap a thread keeps what each has freed.
    MALLOC_ARENA_MAX: '1',
    // UCX, which carries MPICH's messages, tries its memory hooks when it is loaded: it moves the end of the heap a page up and down again. If
    // another thread's heap has grown in between, its last page is gone, and the process ends with signal 11 when it gets there: one start of
    // two ranks in twenty on two busy cores.
    UCX_MEM_EVENTS: 'n',
    // Take GPU memory as it is needed, not all of it at once: others use the same GPU, and the measurement means something.
    TF_FORCE_GPU_ALLOW_GROWTH: 'true',
    // Weights in the memory of the host (`base_offload: host`): XLA's client for GPUs would stop at 64 GiB. It takes memory in steps that double,
    // and what it has taken cannot be swapped out, so it must not have all.
    XLA_PJRT_GPU_HOST_MEMORY_LIMIT_GB: String(Math.max(1, Math.floor((HOST_SHARE * memoryBytes) / 2 ** 30))),
  };
}

/** Cores that one operation may use in this process. */
export const operationThreads = (): number => Number(process.env.TF_NUM_INTRAOP_THREADS ?? os.availableParallelism());

/** Node's flags for a worker: weights that were loaded are collected on asking, and a small nursery keeps JavaScript's heap from growing for them. */
export const WORKER_FLAGS: readonly string[] = ['--expose-gc', '--max-semi-space-size=4'];
