/** Start Sweep, Compare Sweep, Export Sweep Table. */
import { window } from 'vscode';
import { folderName } from '../../trainer/protocol/run/run-names.ts';
import { type SweepStatus, sweepCsv } from '../../trainer/protocol/run/sweep.ts';
import { MAX_COMPARED } from '../../trainer/protocol/view/compare.ts';
import { pickOrExplain, runItems } from '../ask/pick-run.ts';
import { PendingStarts } from '../daemon/pending-starts.ts';
import { recipeSource, sweepRecipeFor } from '../recipe/recipe-files.ts';
import type { CommandContext } from './command-context.ts';
import type { CommandTable } from './command-ids.ts';
import { offerEngine } from './engine-commands.ts';

const NO_SWEEPS = 'There is no sweep yet. Start one from a recipe with a sweep section.';

export function sweepCommands(context: CommandContext): CommandTable<'startSweep' | 'compareSweep' | 'exportSweep'> {
  const { app, views } = context;
  const starts = new PendingStarts();

  /** The sweep of a group in the Runs view, or the user's choice from a list. */
  async function sweepFor(argument: unknown, placeHolder: string): Promise<SweepStatus | undefined> {
    const given = typeof argument === 'object' && argument !== null && 'sweepDir' in argument ? String(argument.sweepDir) : undefined;
    const sweepDir = given ?? (await pickSweep(placeHolder));
    if (sweepDir === undefined) return undefined;
    return (await (await app.daemon.ensure()).request('readSweep', { sweepDir })) ?? undefined;
  }

  async function pickSweep(placeHolder: string): Promise<string | undefined> {
    const sweeps = runItems(app, views).then(items => {
      const dirs = [...new Set(items.flatMap(({ sweepDir }) => sweepDir ?? []))];
      return dirs.map(sweepDir => ({ label: folderName(sweepDir), description: sweepDir, sweepDir }));
    });
    return (await pickOrExplain(sweeps, { placeHolder, none: NO_SWEEPS }))?.sweepDir;
  }

  return {
    startSweep: async argument => {
      const recipe = await sweepRecipeFor(argument);
      if (recipe === undefined) return;
      try {
        const source = await recipeSource(recipe, app.settings());
        await starts.run(source, async id => {
          const client = await app.daemon.ensure();
          if (!(await offerEngine(context, client))) return;
          const job = await client.request('sweep', { id, recipe: source });
          app.store.put(job);
          app.notify.info(`The sweep ${job.title} is running. Its runs appear in the view Runs.`);
        });
      } catch (error) {
        app.notify.error(error, { recipe });
      }
    },
    compareSweep: async argument => {
      const status = await sweepFor(argument, 'Select a sweep to compare its best runs');
      const begun = status?.runs.filter(({ state }) => state !== 'waiting') ?? [];
      if (begun.length > 0) await app.pages.open('compare', { runDirs: begun.slice(0, MAX_COMPARED).map(({ runDir }) => runDir) });
    },
    exportSweep: async argument => {
      const status = await sweepFor(argument, 'Select a sweep to export its table');
      if (status === undefined) return;
      const format = await window.showQuickPick(['CSV', 'JSON'], { placeHolder: 'Select a format' });
      if (format === undefined) return;
      const content = format === 'CSV' ? sweepCsv(status) : `${JSON.stringify(status, null, 2)}\n`;
      await app.services.saveFile({ suggestedName: `${folderName(status.sweepDir)}.${format.toLowerCase()}`, content });
    },
  };
}
