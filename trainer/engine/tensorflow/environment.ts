/** The environment of a worker process that runs TensorFlow. The addon takes no session options, so this is where they are set. */

/**
 * Variables to start a worker with; they must be there before the process starts, since libc and TensorFlow read them once.
 * @param threads cores that one operation may use
 */
export function workerEnvironment({ threads }: { readonly threads: number }): Record<string, string> {
  return {
    // One operation at a time, on all cores: the order of the schedule is what the memory plan counts on.
    TF_NUM_INTRAOP_THREADS: String(threads),
    TF_NUM_INTEROP_THREADS: '1',
    // oneDNN's own pool follows this where it is built with OpenMP.
    OMP_NUM_THREADS: String(threads),
    // Errors only: start-up notes would be taken for faults in the run's log.
    TF_CPP_MIN_LOG_LEVEL: '2',
    // Large tensors (logits, embeddings) go back to the system when freed. Smaller ones stay in the heap, where the next tensor takes
    // their place: mapping each anew costs 8% of a step in page faults, for no less memory at the peak.
    MALLOC_MMAP_THRESHOLD_: String(4 * 2 ** 20),
    // The heap's end is given back after a run (addon-header.ts), not at every free within one.
    MALLOC_TRIM_THRESHOLD_: String(512 * 2 ** 20),
    // One heap: schedule and kernels run one after the other, and a heap a thread keeps what each has freed.
    MALLOC_ARENA_MAX: '1',
    // Take GPU memory as it is needed, not all of it at once: others use the same GPU, and the measurement means something.
    TF_FORCE_GPU_ALLOW_GROWTH: 'true',
  };
}
