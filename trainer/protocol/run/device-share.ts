/** The part of a machine that a job takes: no two trainings of a daemon share a core or a GPU. */
export interface DeviceShare {
  readonly processes: number;
  readonly cores: number;
  /** Number of cores of the machine. */
  readonly allCores: number;
  /** The GPUs with their names in CUDA_VISIBLE_DEVICES. */
  readonly gpus: readonly string[];
  /** The number of GPUs of the machine. */
  readonly allGpus: number;
}

const plural = (count: number, one: string, many: string): string => `${count} ${count === 1 ? one : many}`;

/** "2 processes on 2 of 8 cores", "1 process on GPU 3 and 4 of 16 cores". */
export function shareText({ processes, cores, allCores, gpus, allGpus }: DeviceShare): string {
  const devices = gpus.length === 0 ? '' : gpus.length === allGpus ? `all ${allGpus} GPUs and ` : `GPU ${gpus.join(', ')} and `;
  const threads = cores === allCores ? `all ${plural(allCores, 'core', 'cores')}` : `${cores} of ${plural(allCores, 'core', 'cores')}`;
  return `${plural(processes, 'process', 'processes')} on ${allGpus === 1 ? 'the GPU and ' : devices}${threads}`;
}

export const isWhole = ({ cores, allCores, gpus, allGpus }: DeviceShare): boolean => cores === allCores && gpus.length === allGpus;
