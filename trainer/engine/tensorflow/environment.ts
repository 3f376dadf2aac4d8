/** The environment of a worker process that runs TensorFlow. The addon has no session options, so they are set here. */

import os from 'node:os';
import { totalMemoryBytes } from '../../machine/machine.ts';
import { LOAD_MAP_BYTES } from './heap.ts';

/** Share of the machine's memory that XLA's GPU client may take. */
const HOST_SHARE = 0.8;

interface WorkerEnvironmentParams {
  readonly threads: number;
  readonly memoryBytes?: number | undefined;
}

/**
 * Returns variables to start a worker with; they must be set before the process starts, because libc and TensorFlow read them only once.
 * @param threads number of cores that one operation may use
 * @param memoryBytes memory of the machine, or the limit of its container
 */
export function workerEnvironment({ threads, memoryBytes = totalMemoryBytes() }: WorkerEnvironmentParams): Record<string, string> {
  return {
    // One operation at a time, on all cores: the memory plan relies on the order of the schedule.
    TF_NUM_INTRAOP_THREADS: String(threads),
    TF_NUM_INTEROP_THREADS: '1',
    // Without AVX-512, TensorFlow leaves oneDNN off, and its own kernels have no gradients of grouped convolutions.
    TF_ENABLE_ONEDNN_OPTS: '1',
    // The thread that runs the schedule works on its share of a product instead of sleeping until the others finish: this saves 3 to 8% of
    // a step on two cores.
    TF_ONEDNN_THREADPOOL_USE_CALLER_THREAD: '1',
    // oneDNN's own pool reads this if it is built with OpenMP.
    OMP_NUM_THREADS: String(threads),
    // Errors only: start-up messages would look like errors in the run's log.
    TF_CPP_MIN_LOG_LEVEL: '2',
    // The threshold for loading, with which a session starts; it changes the threshold itself (heap.ts).
    MALLOC_MMAP_THRESHOLD_: String(LOAD_MAP_BYTES),
    // The top of the heap is returned to the system between phases (heap.ts), not at every free within a step.
    MALLOC_TRIM_THRESHOLD_: String(512 * 2 ** 20),
    // One heap: schedule and kernels run one after the other, and one heap per thread would keep the memory that each has freed.
    MALLOC_ARENA_MAX: '1',
    // UCX, which transports MPICH's messages, tests its memory hooks when it is loaded: it moves the end of the heap up a page and down
    // again. If another thread's heap has grown meanwhile, its last page is gone, and the process is killed by signal 11 when it accesses
    // it: this happened in one of twenty starts of two ranks on two busy cores.
    UCX_MEM_EVENTS: 'n',
    // Allocates GPU memory as needed, not all at once: others use the same GPU, and memory measurements stay meaningful.
    TF_FORCE_GPU_ALLOW_GROWTH: 'true',
    // For weights in the host's memory (`base_offload: host`): XLA's GPU client would stop at 64 GiB. It allocates memory in doubling
    // steps, and that memory cannot be swapped out, so it must not take all.
    XLA_PJRT_GPU_HOST_MEMORY_LIMIT_GB: String(Math.max(1, Math.floor((HOST_SHARE * memoryBytes) / 2 ** 30))),
  };
}

/** Returns the number of cores that one operation may use in this process. */
export const operationThreads = (): number => Number(process.env.TF_NUM_INTRAOP_THREADS ?? os.availableParallelism());

/**
 * Node flags of a worker: loaded weights are garbage-collected explicitly, and a small young generation keeps them from growing the
 * JavaScript heap.
 */
export const WORKER_FLAGS: readonly string[] = ['--expose-gc', '--max-semi-space-size=4'];
