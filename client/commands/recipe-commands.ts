/** Compute Importance, Preview Data, Evaluate, Estimate Memory: requests about a recipe or a run that do not train. */
import { type QuickPickItem, QuickPickItemKind, type Uri, window, workspace } from 'vscode';
import type { RecipeSource } from '../../trainer/protocol/messages/rpc-messages.ts';
import { RUN_FILES } from '../../trainer/protocol/run/run-files.ts';
import { asPick, isRunItem, pickOrExplain, runItems } from '../ask/pick-run.ts';
import { runCommandLine } from '../daemon/run-command-line.ts';
import { runJob } from '../daemon/run-job.ts';
import { activeRecipe, findRecipes, recipeFor, recipeSource, uriOf } from '../recipe/recipe-files.ts';
import { recipeStem, scoresFile } from '../recipe/recipe-names.ts';
import { cardReport, cardSentence, estimateReport, estimateSentence, evaluationSentence } from '../reports.ts';
import type { RunItem } from '../views/run-tree.ts';
import type { CommandContext } from './command-context.ts';
import type { CommandTable } from './command-ids.ts';
import { offerEngine } from './engine-commands.ts';

export function recipeCommands(context: CommandContext): CommandTable<'importance' | 'evaluate' | 'estimate' | 'previewData'> {
  const { app, reports } = context;

  async function importance(recipe: Uri | undefined): Promise<void> {
    if (recipe === undefined) return;
    try {
      const source = await recipeSource(recipe, app.settings());
      if (!(await offerEngine(context, await app.daemon.ensure()))) return;
      const outputFile = scoresFile(source.fileName, source.baseDir);
      const name = recipeStem(source.fileName);
      await runJob(app, {
        title: `Importance of ${name}`,
        start: async (client, id) => {
          const job = await client.request('importance', { id, recipe: source, outputFile });
          // Announce the job before the page looks, so that missing scores are not reported as a problem.
          app.store.put(job);
          // The page shows scores while they are being computed.
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
    const { card } = app.settings();
    if (card !== '' && recipe.scheme === 'file') {
      await estimateOnCard(recipe, card);
      return;
    }
    try {
      const source = await recipeSource(recipe, app.settings());
      const found = await (await app.daemon.ensure()).request('estimate', { recipe: source });
      const name = recipeStem(source.fileName);
      const chosen = await window.showInformationMessage(`${name}: ${estimateSentence(found)}`, 'Show Details');
      if (chosen !== undefined) await reports.show(`Memory of ${name}`, estimateReport(name, found));
    } catch (error) {
      app.notify.error(error, { recipe });
    }
  }

  /** Estimates with the compiler of the card, if installed. The editor's hints then use its result, too. */
  async function estimateOnCard(recipe: Uri, card: string): Promise<void> {
    const name = recipeStem(recipe.path);
    try {
      const page = workspace.textDocuments.find(({ uri }) => uri.toString() === recipe.toString());
      if (page?.isDirty && !(await page.save()))
        return app.notify.warn(`${name} could not be saved, and the estimate reads the file. Save it and try again.`);
      const found = await runCommandLine(app, { title: `Memory of ${name} on a card`, args: ['estimate', recipe.fsPath, '--card', card] });
      const chosen = await window.showInformationMessage(`${name}: ${cardSentence(found)}`, 'Show Details');
      if (chosen !== undefined) await reports.show(`Memory of ${name}`, cardReport(name, found));
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
    importance: async argument => importance(await recipeFor(argument, 'Select a recipe to compute its importance')),
    estimate: async argument => estimate(await recipeFor(argument, 'Select a recipe to estimate its memory')),
    previewData: async argument => {
      const recipe = await recipeFor(argument, 'Select a recipe to preview its data');
      if (recipe !== undefined) await app.pages.open('data', { recipe: recipe.toString(), label: recipeStem(recipe.path) });
    },
    evaluate: async argument => {
      const given = isRunItem(argument) ? argument : uriOf(argument);
      const what = given ?? (await pickEvaluated(context));
      if (what === undefined) return;
      if (isRunItem(what)) {
        const { label, runDir } = what;
        if (runDir !== undefined) await evaluate(label, await runRecipe(context, runDir), runDir);
        return;
      }
      const recipe = what;
      try {
        const source = await recipeSource(recipe, app.settings());
        await evaluate(`The base model of ${recipeStem(source.fileName)}`, source, undefined);
      } catch (error) {
        app.notify.error(error, { recipe });
      }
    },
  };
}

/** Asks for a trained run, or for a recipe whose base model is evaluated; the recipe in the editor comes first. */
async function pickEvaluated(context: CommandContext): Promise<RunItem | Uri | undefined> {
  const listing = Promise.all([runItems(context.app, context.views), findRecipes()]);
  const items = listing.then(([runs, recipes]): readonly EvaluatedItem[] => {
    const trained = runs.filter(({ flags }) => flags.includes('adapter')).map(item => ({ ...asPick(item), what: item }));
    const active = activeRecipe()?.toString();
    const ordered = [...recipes].sort((a, b) => Number(b.toString() === active) - Number(a.toString() === active));
    const bases = ordered.map(uri => ({ label: recipeStem(uri.path), description: workspace.asRelativePath(uri), what: uri }));
    return [...group('base models of recipes', bases), ...group('runs', trained)];
  });
  const none = 'There is no recipe and no trained run to evaluate.';
  return (await pickOrExplain(items, { placeHolder: 'Select a model to evaluate on the held-out data', none }))?.what;
}

interface EvaluatedItem extends QuickPickItem {
  readonly what?: RunItem | Uri;
}

const group = (label: string, items: readonly EvaluatedItem[]): readonly EvaluatedItem[] =>
  items.length === 0 ? [] : [{ label, kind: QuickPickItemKind.Separator }, ...items];

/** Reads the recipe of a local or remote run. */
export async function runRecipe(context: CommandContext, runDir: string): Promise<RecipeSource> {
  return { text: await readRunFile(context, runDir, 'recipe'), fileName: `${runDir}/${RUN_FILES.recipe}`, baseDir: runDir };
}

/** Reads a file of a local or remote run. @throws Error if the file does not exist */
export async function readRunFile({ app }: CommandContext, runDir: string, file: 'recipe' | 'log'): Promise<string> {
  // Loaded here because a window that only edits recipes does not need the readers of runs.
  const { openRunSource, WholeFile } = await (await import('../lazy-modules.ts')).runSource();
  const text = await new WholeFile(file).read(openRunSource(runDir, app.services));
  if (text === undefined) throw new Error(`There is no ${file} in ${runDir}`);
  return text;
}
