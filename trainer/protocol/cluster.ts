/** The place of a run that was given to Slurm: in its queue, or on a node. */

export interface ClusterPlace {
  /** The number of the job, or of the job array of a sweep. */
  readonly jobId: string;
  /** `waiting`: a job will train it later; `ended`: no job does. */
  readonly phase: 'waiting' | 'running' | 'ended';
  /** A text to show: "pending (Resources), behind 3 jobs", "running on n1". */
  readonly text: string;
  /** The machines that train it, or have trained it last. */
  readonly node?: string;
  /** The log of the job, or of the worker that has the run. */
  readonly log?: string;
}

/** Whether Slurm has the run: nothing else may continue or delete it. */
export const isOnCluster = (place: ClusterPlace | undefined): boolean => place !== undefined && place.phase !== 'ended';

/** "Slurm job 12: pending (Resources), next in its partition" */
export const placeText = ({ jobId, text }: ClusterPlace): string => `Slurm job ${jobId}: ${text}`;
