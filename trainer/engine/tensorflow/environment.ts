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
    // Freed tensors go back to the system: glibc would keep them (75 MB on a 135M model, at no cost in time).
    MALLOC_MMAP_THRESHOLD_: '65536',
    MALLOC_TRIM_THRESHOLD_: '65536',
    // Take GPU memory as it is needed, not all of it at once: others use the same GPU, and the measurement means something.
    TF_FORCE_GPU_ALLOW_GROWTH: 'true',
  };
}
