/** The place of a run that was submitted to Slurm: in its queue, or on a node. */
import type { RecipeSource } from '../messages/job-messages.ts';

export interface ClusterPlace {
  /** The number of the job, or of the job array of a sweep. */
  readonly jobId: string;
  /** `waiting`: a job will train it later; `ended`: no job will. */
  readonly phase: 'waiting' | 'running' | 'ended';
  /** The description to show: "pending (Resources), behind 3 jobs", "running on n1". */
  readonly text: string;
  /** The machines that train it, or trained it last. */
  readonly node?: string;
  /** The log of the job, or of the worker that has the run. */
  readonly log?: string;
}

/** A profile of resources that a run can request from a cluster. */
export interface ClusterProfile {
  /** The file of the profile; left out for the defaults of the cluster. */
  readonly file?: string;
  /** Its resources, or the reason why it is invalid. */
  readonly text: string;
  readonly isValid: boolean;
}

/** A run or sweep that was submitted to a cluster. */
export interface ClusterSubmission {
  readonly jobId: string;
  /** The folder of the run or the sweep. */
  readonly folder: string;
  /** A description: "2 processes", "12 runs, 4 workers". */
  readonly text: string;
}

export interface SubmitParams {
  /** Chosen by the client; a repeated request with the same id submits nothing. */
  readonly id: string;
  readonly what:
    | { readonly kind: 'train' | 'sweep'; readonly recipe: RecipeSource }
    | { readonly kind: 'continue'; readonly folder: string };
  /** The file of a profile; without it, slurm.yaml next to the recipe or the user's own. */
  readonly profile?: string;
}

/** True if Slurm has the run: nothing else may continue or delete it. */
export const isOnCluster = (place: ClusterPlace | undefined): boolean => place !== undefined && place.phase !== 'ended';

/** "Slurm job 12: pending (Resources), next in its partition" */
export const placeText = ({ jobId, text }: ClusterPlace): string => `Slurm job ${jobId}: ${text}`;
