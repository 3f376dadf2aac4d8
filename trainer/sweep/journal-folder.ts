/**
 * The journal of a sweep on a disk that several machines share. Entry n is a separate file that is created once: it is written under
 * another name, flushed, and gets its name through a hard link, which fails if the name exists. If several workers add an entry at the same
 * time, exactly one succeeds, on NFS too (link is atomic on the server). No worker holds a lock, so a killed worker blocks nobody.
 */
import { randomBytes } from 'node:crypto';
import { link, open, rm } from 'node:fs/promises';
import path from 'node:path';
import { syncFolder } from '../files/durable-file.ts';
import { makeFolder } from '../files/durable-folder.ts';
import { readRegularText } from '../files/regular-file.ts';
import { codeOf, messageOf } from '../protocol/error-facts.ts';
import { SWEEP_FILES } from '../protocol/run/sweep.ts';
import { RunError } from '../run-error.ts';
import { type JournalEntry, parseEntry, SweepJournal } from './sweep-journal.ts';
import { type SweepPlan, scheduleOf } from './sweep-plan.ts';

/** An entry has about 200 bytes; the message of a failure may be longer. */
const MAX_BYTES = 2 ** 16;
/** Longer messages are truncated, so that an entry stays within its limit. */
const MAX_MESSAGE = 2000;
/** Digits of an entry's number, so that names sort by number: a sweep of 10,000 runs has about 30,000 entries. */
const DIGITS = 7;

export class JournalFolder {
  readonly journal: SweepJournal;
  private readonly folder: string;

  private constructor(folder: string, journal: SweepJournal) {
    this.folder = folder;
    this.journal = journal;
  }

  /** Opens the journal of a sweep and reads it. @throws RunError 'bad-sweep' if it is damaged */
  static async open(sweepDir: string, plan: SweepPlan): Promise<JournalFolder> {
    const opened = new JournalFolder(path.join(sweepDir, SWEEP_FILES.journal), new SweepJournal(scheduleOf(plan)));
    await opened.read();
    return opened;
  }

  /** Reads the entries that others have added. @throws RunError 'bad-sweep' if the journal is damaged */
  async read(): Promise<void> {
    for (;;) {
      const file = this.fileOf(this.journal.length);
      const text = await readRegularText(file, MAX_BYTES).catch((error: unknown) => {
        if (codeOf(error) === 'ENOENT') return undefined;
        throw error;
      });
      if (text === undefined) return;
      try {
        this.journal.apply(parseEntry(JSON.parse(text)));
      } catch (error) {
        throw new RunError('bad-sweep', `${file} is damaged: ${messageOf(error)}`, 'Restore it, or start a new sweep', { cause: error });
      }
    }
  }

  /**
   * Adds an entry that is based on all entries read so far.
   * @returns false if another worker was first: read its entry, and decide again
   * @throws RunError 'bad-sweep' on a disk without hard links
   */
  async add(entry: JournalEntry): Promise<boolean> {
    const file = this.fileOf(this.journal.length);
    const text = `${JSON.stringify(withShortMessages(entry))}\n`;
    await makeFolder(this.folder);
    const temporary = path.join(this.folder, `.${entry.worker.replaceAll(/[^\w.-]/g, '-')}-${randomBytes(8).toString('hex')}`);
    await writeFlushed(temporary, text);
    try {
      if (!(await isLinked(temporary, file))) return false;
    } finally {
      await rm(temporary, { force: true });
    }
    await syncFolder(this.folder);
    this.journal.apply(parseEntry(JSON.parse(text)));
    return true;
  }

  private fileOf(entry: number): string {
    return path.join(this.folder, `${String(entry).padStart(DIGITS, '0')}.json`);
  }
}

function withShortMessages(entry: JournalEntry): JournalEntry {
  if (entry.kind === 'result') return { ...entry, failure: entry.failure?.slice(0, MAX_MESSAGE) };
  return entry.kind === 'free' ? { ...entry, problem: entry.problem?.slice(0, MAX_MESSAGE) } : entry;
}

async function writeFlushed(file: string, text: string): Promise<void> {
  const handle = await open(file, 'wx');
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function isLinked(temporary: string, file: string): Promise<boolean> {
  try {
    await link(temporary, file);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return isSameFile(temporary);
    throw new RunError('bad-sweep', `${file} can't be created: ${messageOf(error)}`, 'The disk of a shared sweep needs hard links', {
      cause: error,
    });
  }
}

/**
 * Returns whether the link succeeded. If the reply of an NFS server is lost, the call is repeated and reports that the name exists: two
 * links mean success.
 */
async function isSameFile(temporary: string): Promise<boolean> {
  const handle = await open(temporary, 'r');
  try {
    return (await handle.stat()).nlink > 1;
  } finally {
    await handle.close();
  }
}
