/** trackers.json: the ids of a run at its trackers, so that a resumed run continues there. */
import path from 'node:path';
import { z } from 'zod';
import { writeJson } from '../../files/durable-file.ts';
import { MAX_STATE_BYTES, readRegularText } from '../../files/regular-file.ts';
import { RUN_FILES } from '../../protocol/run/run-files.ts';

const idsSchema = z.object({
  mlflow: z.object({ uri: z.string(), runId: z.string() }).optional().catch(undefined),
  trackio: z.object({ runId: z.string() }).optional().catch(undefined),
});

export type TrackerIds = z.infer<typeof idsSchema>;

/** Reads the ids; empty if there are none or the file is damaged. */
export async function readTrackerIds(runDir: string): Promise<TrackerIds> {
  try {
    const text = await readRegularText(path.join(runDir, RUN_FILES.trackers), MAX_STATE_BYTES);
    return idsSchema.safeParse(JSON.parse(text)).data ?? {};
  } catch {
    return {};
  }
}

export async function keepTrackerIds(runDir: string, ids: TrackerIds): Promise<void> {
  await writeJson(path.join(runDir, RUN_FILES.trackers), { ...(await readTrackerIds(runDir)), ...ids });
}
