/**
 * People's notes about a run: another name, tags, a text, and whether it is pinned or archived. They are in the run's folder, so that every
 * client sees them.
 */
import path from 'node:path';
import { z } from 'zod';
import { writeJson } from '../files/durable-file.ts';
import { whyNotWritable } from '../files/output-place.ts';
import { MAX_STATE_BYTES, readRegularText } from '../files/regular-file.ts';
import { parseStrictJson } from '../files/strict-json.ts';
import { turns } from '../machine/turns.ts';
import { codeOf, messageOf } from '../protocol/error-facts.ts';
import type { RunNotesChange } from '../protocol/messages/rpc-messages.ts';
import { RUN_FILES } from '../protocol/run/run-files.ts';
import { RunError } from '../run-error.ts';

/** Maximum lengths: enough for a sentence in a list, and a page of text. */
const [MAX_NAME, MAX_TAGS, MAX_NOTE] = [200, 50, 10_000];

const name = z.string().trim().min(1).max(MAX_NAME);

const notesSchema = z.object({
  name: name.optional(),
  tags: z.array(name).max(MAX_TAGS).optional(),
  note: z.string().trim().min(1).max(MAX_NOTE).optional(),
  pinned: z.literal(true).optional(),
  archived: z.literal(true).optional(),
});

export type RunNotes = z.infer<typeof notesSchema>;

/** @throws RunError 'damaged-notes' if the file exists and has no notes: they must not be replaced */
async function notesIn(runDir: string): Promise<RunNotes> {
  const file = path.join(runDir, RUN_FILES.notes);
  try {
    return notesSchema.parse(parseStrictJson(await readRegularText(file, MAX_STATE_BYTES)));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return {};
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : messageOf(error);
    throw new RunError(
      'damaged-notes',
      `the notes in ${file} cannot be read: ${reason}`,
      'Repair the file, or move it away to start new notes',
    );
  }
}

/** Reads the notes; empty if there are none or the file is damaged, because a list of runs must not fail. */
export const readRunNotes = (runDir: string): Promise<RunNotes> => notesIn(runDir).catch(() => ({}));

const inTurn = turns();

/**
 * Changes made at the same time are all kept.
 * @returns the notes after the change
 * @throws RangeError if a text is too long; RunError 'damaged-notes', or 'output-unusable' if the folder cannot be written
 */
export const changeRunNotes = (runDir: string, change: RunNotesChange): Promise<RunNotes> => inTurn(() => changeNow(runDir, change));

async function changeNow(runDir: string, change: RunNotesChange): Promise<RunNotes> {
  const before = await notesIn(runDir);
  const removed = new Set(change.removeTags);
  const tags = [...new Set([...(before.tags ?? []), ...(change.addTags ?? [])])].filter(tag => !removed.has(tag));
  const checked = notesSchema.safeParse({
    name: change.name === undefined ? before.name : change.name.trim() || undefined,
    tags: tags.length > 0 ? tags : undefined,
    note: change.note === undefined ? before.note : change.note.trim() || undefined,
    pinned: (change.pinned ?? before.pinned) || undefined,
    archived: (change.archived ?? before.archived) || undefined,
  });
  if (!checked.success)
    throw new RangeError(`a name or tag has 1 to ${MAX_NAME} characters, a note at most ${MAX_NOTE}, and a run at most ${MAX_TAGS} tags`);
  await writeJson(path.join(runDir, RUN_FILES.notes), checked.data).catch(async (error: unknown) => {
    const reason = (await whyNotWritable(runDir)) ?? messageOf(error);
    throw new RunError(
      'output-unusable',
      `the notes of ${runDir} cannot be written: ${reason}`,
      'They are a file in the folder of the run',
    );
  });
  return checked.data;
}
