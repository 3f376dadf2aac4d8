/**
 * Commands that write notes about a run: its display name, tags, text, and whether it is pinned or archived. Notes are stored in the run's
 * folder, where every client sees them.
 */
import { window } from 'vscode';
import type { RunNotesChange } from '../../trainer/protocol/messages/rpc-messages.ts';
import { runFor } from '../ask/pick-run.ts';
import { tagsChange } from '../ask/tags-change.ts';
import type { RunItem } from '../views/run-tree.ts';
import type { CommandContext } from './command-context.ts';
import type { CommandHandler, CommandTable } from './command-ids.ts';

type Names = 'renameRun' | 'tagRun' | 'noteRun' | 'pinRun' | 'archiveRun';

/** Returns the change that the user wants; undefined if none. */
type Ask = (item: RunItem) => Promise<RunNotesChange | undefined> | RunNotesChange;

export function noteCommands({ app, views }: CommandContext): CommandTable<Names> {
  const command =
    (placeHolder: string, ask: Ask): CommandHandler =>
    async argument => {
      const item = await runFor(app, views, argument, { placeHolder, flag: 'folder', none: 'There are no runs yet.' });
      if (item?.runDir === undefined) return;
      const change = await ask(item);
      if (change === undefined) return;
      const client = await app.daemon.ensure();
      await client.request('noteRun', { runDir: item.runDir, change });
      await views.reloadRuns();
    };
  return {
    renameRun: command('Select a run to rename', async ({ label, title }) => {
      const name = await window.showInputBox({
        title: `Name of ${label}`,
        value: title ?? label,
        prompt: 'Leave it empty for the name of its recipe',
      });
      return name === undefined ? undefined : { name };
    }),
    tagRun: command('Select a run to tag', async ({ label, notes: { tags = [] } = {} }) => {
      const text = await window.showInputBox({ title: `Tags of ${label}`, value: tags.join(', '), prompt: 'Separate tags with commas' });
      return text === undefined ? undefined : tagsChange(tags, text);
    }),
    noteRun: command('Select a run to write a note on', async ({ label, notes }) => {
      const note = await window.showInputBox({
        title: `Note on ${label}`,
        value: notes?.note ?? '',
        prompt: 'Leave it empty to remove the note',
      });
      return note === undefined ? undefined : { note };
    }),
    pinRun: command('Select a run to pin or unpin', ({ notes }) => ({ pinned: notes?.pinned !== true })),
    archiveRun: command('Select a run to archive or restore', ({ notes }) => ({ archived: notes?.archived !== true })),
  };
}
