/**
 * The trackers of `report_to`: further destinations for a run's metrics, in addition to metrics.jsonl. Code asks for a capability of an
 * entry.
 */
import { namesOf } from './entries.ts';

export interface TrackerEntry {
  readonly label: string;
  /** One sentence for completion, hover and help. */
  readonly summary: string;
}

const entries = {
  tensorboard: {
    label: 'TensorBoard',
    summary: 'Event files in the folder `tensorboard` of the run: tensorboard --logdir runs.',
  },
  mlflow: {
    label: 'MLflow',
    summary: 'A run on the tracking server at MLFLOW_TRACKING_URI, in the experiment MLFLOW_EXPERIMENT_NAME.',
  },
  trackio: {
    label: 'Trackio',
    summary: "A run on the server at TRACKIO_SERVER_URL, or without one in Trackio's folder on this machine: trackio show.",
  },
} as const satisfies Readonly<Record<string, TrackerEntry>>;

export type TrackerName = keyof typeof entries;
export const trackerCatalog: Readonly<Record<TrackerName, TrackerEntry>> = entries;
export const trackerNames = namesOf(entries);
