/** How each tracker begins. A new one does not compile until it is here. */
import type { TrackerName } from '../../catalog/trackers.ts';
import { mlflowTracker } from './mlflow.ts';
import { TensorboardFile } from './tensorboard.ts';
import type { MetricsTracker, TrackedRun } from './tracker.ts';
import { trackioTracker } from './trackio.ts';

export const trackers: Readonly<Record<TrackerName, (run: TrackedRun) => Promise<MetricsTracker> | MetricsTracker>> = {
  tensorboard: ({ runDir, lines }) => TensorboardFile.begin(runDir, lines),
  mlflow: run => mlflowTracker(run),
  trackio: run => trackioTracker(run),
};
