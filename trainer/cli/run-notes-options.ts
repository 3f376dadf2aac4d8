/** The options of `rowtune runs RUN` that set a name, tags or a note. */
import path from 'node:path';
import type { Command } from 'commander';
import { isRunFolder } from '../run/run-folder.ts';
import { changeRunNotes, type RunNotes } from '../run/run-notes.ts';
import { CliError, EXIT } from './cli-error.ts';
import type { CommandContext, CommandResult } from './command.ts';

export interface NotesOptions {
  readonly rename?: string;
  readonly tag?: readonly string[];
  readonly untag?: readonly string[];
  readonly note?: string;
  readonly pin?: true;
  readonly unpin?: true;
  readonly archive?: true;
  readonly unarchive?: true;
}

const repeated = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

export const addNotesOptions = (command: Command): Command =>
  command
    .option('--rename <name>', 'give the run another name; its folder stays. An empty name removes it')
    .option('--tag <tag>', 'add a tag; may be given several times', repeated)
    .option('--untag <tag>', 'remove a tag; may be given several times', repeated)
    .option('--note <text>', 'write a note; an empty one removes it')
    .option('--pin', 'list the run first')
    .option('--unpin', 'undo --pin')
    .option('--archive', 'leave the run out of lists')
    .option('--unarchive', 'undo --archive');

export const writesNotes = ({ rename, tag, untag, note, pin, unpin, archive, unarchive }: NotesOptions): boolean =>
  [rename, tag, untag, note, pin, unpin, archive, unarchive].some(given => given !== undefined);

/** @throws CliError if the folder is not a run on this machine, or a text is too long */
export async function writeNotes({ terminal, cwd, settings }: CommandContext, run: string, options: NotesOptions): Promise<CommandResult> {
  const usage = (message: string, hint: string): CliError => new CliError(message, { code: 'usage', exitStatus: EXIT.usage, hint });
  if (settings.remoteDaemon !== undefined) throw usage('notes are written on the machine of the run', 'Run this command there.');
  const runDir = path.resolve(cwd, run);
  if (!(await isRunFolder(runDir))) throw usage(`${run} is not a run`, 'Name one run; rowtune runs lists them.');
  const { rename: name, tag: addTags, untag: removeTags, note, pin, unpin, archive, unarchive } = options;
  const change = { name, addTags, removeTags, note, pinned: unpin ? false : pin, archived: unarchive ? false : archive };
  let notes: RunNotes;
  try {
    notes = await changeRunNotes(runDir, change);
  } catch (error) {
    throw error instanceof RangeError ? usage(error.message, 'Write a shorter one.') : error;
  }
  const { tags = [], pinned, archived } = notes;
  const facts = [notes.name, ...tags.map(tag => `#${tag}`), pinned && 'pinned', archived && 'archived', notes.note];
  terminal.print(`${run}: ${facts.filter(fact => fact !== undefined).join(', ') || 'no notes'}`);
  return { value: { ok: true, runDir, notes } };
}
