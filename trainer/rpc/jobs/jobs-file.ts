/** jobs.json of the state folder: jobs and their results, so that the next daemon continues the queue. */
import { copyFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import manifest from '../../../package.json' with { type: 'json' };
import { writePrivateFile } from '../../files/durable-file.ts';
import { MAX_JSON_BYTES, readRegularText } from '../../files/regular-file.ts';
import { codeOf } from '../../protocol/error-facts.ts';
import { isJobRequest, JOB_KINDS, type JobContext } from '../../protocol/messages/job-messages.ts';
import { unwritable } from '../connection/claim.ts';
import type { KnownJob } from './job-queue.ts';

/** A request without its context: the next daemon has its own, and hub tokens stay off the disk. */
const workSchema = z.object({
  version: z.literal(manifest.version),
  baseDir: z.string(),
  request: z.looseObject({ kind: z.string() }),
  threads: z.number(),
  reads: z.array(z.string()).optional(),
  processes: z.number().optional(),
  share: z.object({ cores: z.number(), gpus: z.number(), bytes: z.number() }).optional(),
});

const recordSchema = z.looseObject({
  id: z.string(),
  kind: z.enum(JOB_KINDS),
  state: z.enum(['queued', 'running', 'stopping', 'succeeded', 'stopped', 'aborted', 'failed']),
  priority: z.number(),
  title: z.string(),
  runDir: z.string().optional(),
  createdAt: z.string(),
  // Work of another version, or damaged work: the job is known but cannot run.
  work: workSchema.optional().catch(undefined),
});

const fileOf = (stateDir: string): string => path.join(stateDir, 'jobs.json');

/**
 * Reads the jobs of earlier daemons. A damaged file is copied to `jobs.json.damaged` before it is rewritten.
 * @param say reports damage
 * @throws the disk error if the file exists and cannot be read: its content must not be replaced
 */
export async function readJobs(
  stateDir: string,
  settings: Omit<JobContext, 'baseDir'>,
  say: (message: string) => void = () => undefined,
): Promise<KnownJob[]> {
  const file = fileOf(stateDir);
  let text: string;
  try {
    text = await readRegularText(file, MAX_JSON_BYTES);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
  const entries = parseArray(text);
  const found = (entries ?? []).flatMap(entry => toKnownJob(entry, settings) ?? []);
  if (entries === undefined || found.length < entries.length) {
    await copyFile(file, `${file}.damaged`);
    const lost = entries === undefined ? 'all jobs' : `${entries.length - found.length} of ${entries.length} jobs`;
    say(`${file} is damaged: ${lost} can't be read; a copy is in ${file}.damaged`);
  }
  return found;
}

function parseArray(text: string): unknown[] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function toKnownJob(entry: unknown, settings: Omit<JobContext, 'baseDir'>): KnownJob | undefined {
  const checked = recordSchema.safeParse(entry);
  if (!checked.success) return undefined;
  const { work, ...record } = checked.data;
  if (work === undefined) return { record };
  const { id, priority, title, runDir } = record;
  const { version: _, baseDir, request: stored, ...rest } = work;
  const request = { ...stored, context: { ...settings, baseDir } };
  return !isJobRequest(request) ? { record } : { record, work: { ...rest, id, priority, title, runDir, request } };
}

/** Converts a job to its stored form. Results stay in memory for waiting clients: they may be long, and a run's is stored in its folder. */
function toEntry({ record: { result: _, progress: __, ...record }, work }: KnownJob): unknown {
  if (work === undefined) return record;
  const { context, ...request } = work.request;
  const { threads, reads, processes, share } = work;
  return { ...record, work: { version: manifest.version, baseDir: context.baseDir, request, threads, reads, processes, share } };
}

export interface JobsFile {
  /**
   * Resolves when the current value of `kept` is on disk; changes in between are written together.
   * @throws DaemonError 'state-unwritable' with the reason
   */
  save(): Promise<void>;
}

/** @param write writes a whole file durably and atomically */
export function openJobsFile(stateDir: string, kept: () => readonly KnownJob[], write = writePrivateFile): JobsFile {
  let current: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  const start = (): Promise<void> => {
    next = undefined;
    current = writeAll().finally(() => {
      current = undefined;
    });
    return current;
  };
  const writeAll = async (): Promise<void> => {
    try {
      const text = JSON.stringify(kept().map(toEntry));
      // The next daemon could not read a larger file.
      if (Buffer.byteLength(text) > MAX_JSON_BYTES) throw new Error(`more than ${MAX_JSON_BYTES} bytes of jobs`);
      await write(fileOf(stateDir), text);
    } catch (error) {
      throw unwritable(stateDir, error);
    }
  };
  return {
    save: () => {
      if (current === undefined) return start();
      next ??= current.then(start, start);
      return next;
    },
  };
}

/** Delay before retrying a failed write of the jobs. */
const SAVE_AGAIN_MS = 10_000;

export interface SaveLater {
  /** Starts writing without making anyone wait; a failure such as a full disk is retried later. */
  save(): void;
  /** Ends the retries. */
  close(): void;
}

export function saveLater(file: JobsFile, onError: (error: Error) => void): SaveLater {
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;
  const save = (): void => {
    clearTimeout(timer);
    file.save().catch((error: Error) => {
      onError(error);
      if (!isClosed) timer = setTimeout(save, SAVE_AGAIN_MS).unref();
    });
  };
  return {
    save,
    close: () => {
      isClosed = true;
      clearTimeout(timer);
    },
  };
}
