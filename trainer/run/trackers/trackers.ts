/** The function that starts each tracker; does not compile until every tracker is listed. */
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
