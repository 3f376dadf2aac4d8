/** Compute Importance, Evaluate, Estimate Memory: what is asked of a recipe or a run without training. */
import type { Uri } from 'vscode';
import { window } from 'vscode';
import type { RecipeSource } from '../../trainer/protocol/rpc-messages.ts';
import { isRunItem } from '../pick-run.ts';
import { recipeFor, recipeSource } from '../recipe-files.ts';
import { recipeStem, scoresFile } from '../recipe-names.ts';
import { estimateReport, estimateSentence, evaluationSentence } from '../reports.ts';
import { runJob } from '../run-job.ts';
import type { CommandContext } from './command-context.ts';
import type { CommandTable } from './command-ids.ts';
import { offerEngine } from './engine-commands.ts';

export function recipeCommands(context: CommandContext): CommandTable<'importance' | 'evaluate' | 'estimate'> {
  const { app, reports } = context;

  async function importance(recipe: Uri | undefined): Promise<void> {
    if (recipe === undefined) return;
    try {
      const source = await recipeSource(recipe);
      if (!(await offerEngine(context, await app.daemon.ensure()))) return;
      const outputFile = scoresFile(source.fileName, source.baseDir);
      const name = recipeStem(source.fileName);
      await runJob(app, {
        title: `Importance of ${name}`,
        start: async (client, id) => {
          const job = await client.request('importance', { id, recipe: source, outputFile });
          // Scores are seen while they are computed.
          await app.pages.open('heatmap', { kind: 'heatmap', sources: [{ path: outputFile, label: name, jobId: id }] });
          return job;
        },
      });
    } catch (error) {
      app.notify.error(error, { recipe });
    }
  }

  async function estimate(recipe: Uri | undefined): Promise<void> {
    if (recipe === undefined) return;
    try {
      const source = await recipeSource(recipe);
      const found = await (await app.daemon.ensure()).request('estimate', { recipe: source });
      const name = recipeStem(source.fileName);
      const chosen = await window.showInformationMessage(`${name}: ${estimateSentence(found)}`, 'Show Details');
      if (chosen !== undefined) await reports.show(`Memory of ${name}`, estimateReport(name, found));
    } catch (error) {
      app.notify.error(error, { recipe });
    }
  }

  async function evaluate(name: string, recipe: RecipeSource, adapter: string | undefined): Promise<void> {
    const job = await runJob(app, {
      title: `Evaluating ${name}`,
      start: (client, id) => client.request('evaluate', { id, recipe, adapter }),
    });
    if (job !== undefined) app.notify.info(`${name}: ${evaluationSentence(job.result)}.`);
  }

  return {
    importance: async argument => importance(await recipeFor(argument, 'The recipe whose importance is computed')),
    estimate: async argument => estimate(await recipeFor(argument, 'The recipe whose memory is estimated')),
    evaluate: async argument => {
      if (isRunItem(argument) && argument.runDir !== undefined) {
        const { label, runDir } = argument;
        await evaluate(label, await runRecipe(context, runDir), runDir);
        return;
      }
      const recipe = await recipeFor(argument, 'The recipe whose base model is evaluated');
      if (recipe === undefined) return;
      try {
        const source = await recipeSource(recipe);
        await evaluate(`The base model of ${recipeStem(source.fileName)}`, source, undefined);
      } catch (error) {
        app.notify.error(error, { recipe });
      }
    },
  };
}

/** The recipe of a run as the run has it, wherever the run is. */
export async function runRecipe({ app }: CommandContext, runDir: string): Promise<RecipeSource> {
  // With it come the readers of runs, which a window that only edits does not need.
  const { openRunSource, WholeFile } = await (await import('../later.ts')).runSource();
  const text = await new WholeFile('recipe').read(openRunSource(runDir, app.services));
  if (text === undefined) throw new Error(`There is no recipe in ${runDir}`);
  return { text, fileName: `${runDir}/recipe.yaml`, baseDir: runDir };
}
