/** jobs.json of the state folder: the records of jobs, so that a daemon that starts again knows what was asked of the last one. */
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { writeTextFile } from '../hub/durable-file.ts';
import type { JobRecord } from '../protocol/rpc-messages.ts';

/** Thousands of records; a larger file is not ours. */
const MAX_BYTES = 64 * 2 ** 20;

const recordsSchema = z.array(
  z.looseObject({
    id: z.string(),
    kind: z.enum(['train', 'resume', 'importance', 'evaluate', 'generate', 'export', 'verify', 'doctor']),
    state: z.enum(['queued', 'running', 'stopping', 'succeeded', 'stopped', 'aborted', 'failed']),
    priority: z.number(),
    title: z.string(),
    runDir: z.string().optional(),
    createdAt: z.string(),
  }),
);

const fileOf = (stateDir: string): string => path.join(stateDir, 'jobs.json');

/** None where the file is missing or unreadable: a daemon must start all the same. */
export async function readJobs(stateDir: string): Promise<JobRecord[]> {
  try {
    const file = fileOf(stateDir);
    if ((await stat(file)).size > MAX_BYTES) return [];
    return recordsSchema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch {
    return [];
  }
}

export interface JobsFile {
  /** Writes soon; changes in between are written together. */
  save(): void;
  /** When the newest state is on the disk. */
  flush(): Promise<void>;
}

export function openJobsFile(stateDir: string, list: () => readonly JobRecord[], onError: (error: unknown) => void): JobsFile {
  let isDirty = false;
  let writing: Promise<void> | undefined;
  const write = async (): Promise<void> => {
    while (isDirty) {
      isDirty = false;
      await writeTextFile(fileOf(stateDir), JSON.stringify(list())).catch(onError);
    }
    writing = undefined;
  };
  return {
    save: () => {
      isDirty = true;
      writing ??= write();
    },
    flush: () => writing ?? Promise.resolve(),
  };
}
