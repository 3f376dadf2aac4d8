/** jobs.json of the state folder: jobs and what came of them, so that a daemon that starts again goes on with what waited under the last one. */
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import manifest from '../../package.json' with { type: 'json' };
import { writeTextFile } from '../hub/durable-file.ts';
import type { JobContext, JobRequest } from '../protocol/job-messages.ts';
import type { KnownJob } from './job-queue.ts';

/** Thousands of records; a larger file is not ours. */
const MAX_BYTES = 64 * 2 ** 20;

/** A request without its context: the next daemon has its own, and a token of the hub stays off the disk. */
const workSchema = z.object({
  version: z.literal(manifest.version),
  baseDir: z.string(),
  request: z.looseObject({ kind: z.string() }),
  threads: z.number(),
});

const recordsSchema = z.array(
  z.looseObject({
    id: z.string(),
    kind: z.enum(['train', 'resume', 'importance', 'evaluate', 'generate', 'export', 'verify', 'doctor']),
    state: z.enum(['queued', 'running', 'stopping', 'succeeded', 'stopped', 'aborted', 'failed']),
    priority: z.number(),
    title: z.string(),
    runDir: z.string().optional(),
    createdAt: z.string(),
    // Of another version, or damaged: the job is known, and can't be done.
    work: workSchema.optional().catch(undefined),
  }),
);

const fileOf = (stateDir: string): string => path.join(stateDir, 'jobs.json');

/** None where the file is missing or unreadable: a daemon must start all the same. */
export async function readJobs(stateDir: string, settings: Omit<JobContext, 'baseDir'>): Promise<KnownJob[]> {
  try {
    const file = fileOf(stateDir);
    if ((await stat(file)).size > MAX_BYTES) return [];
    return recordsSchema.parse(JSON.parse(await readFile(file, 'utf8'))).map(({ work, ...record }) => {
      if (work === undefined) return { record };
      const { id, priority, title, runDir } = record;
      const request = { ...work.request, context: { ...settings, baseDir: work.baseDir } } as JobRequest;
      return { record, work: { id, priority, title, runDir, threads: work.threads, request } };
    });
  } catch {
    return [];
  }
}

function toEntry({ record, work }: KnownJob): unknown {
  if (work === undefined) return record;
  const { context, ...request } = work.request;
  return { ...record, work: { version: manifest.version, baseDir: context.baseDir, request, threads: work.threads } };
}

export interface JobsFile {
  /** Writes soon; changes in between are written together. */
  save(): void;
  /** When the newest state is on the disk. */
  flush(): Promise<void>;
}

export function openJobsFile(stateDir: string, kept: () => readonly KnownJob[], onError: (error: unknown) => void): JobsFile {
  let isDirty = false;
  let writing: Promise<void> | undefined;
  const write = async (): Promise<void> => {
    while (isDirty) {
      isDirty = false;
      await writeTextFile(fileOf(stateDir), JSON.stringify(kept().map(toEntry))).catch(onError);
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
