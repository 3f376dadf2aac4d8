/** Start Training, Train This Recipe, Resume, Stop and Save, Abort. */
import { commands, type Uri, window } from 'vscode';
import type { JobRecord } from '../../trainer/protocol/messages/rpc-messages.ts';
import type { App } from '../app.ts';
import { runFor } from '../ask/pick-run.ts';
import { isTraining } from '../daemon/job-store.ts';
import { PendingStarts } from '../daemon/pending-starts.ts';
import { findRecipes, pickRecipe, recipeFor, recipeSource } from '../recipe/recipe-files.ts';
import { kindText } from '../status/status-text.ts';
import { isRunGroup, type RunItem } from '../views/run-tree.ts';
import type { CommandContext } from './command-context.ts';
import { COMMANDS, type CommandTable } from './command-ids.ts';
import { offerEngine } from './engine-commands.ts';

export function trainingCommands(context: CommandContext): CommandTable<'startTraining' | 'train' | 'resume' | 'stop' | 'abort'> {
  const { app, views } = context;
  const starts = new PendingStarts();

  async function train(recipe: Uri | undefined): Promise<void> {
    if (recipe === undefined) return;
    try {
      const source = await recipeSource(recipe, app.settings());
      await starts.run(source, async id => {
        const client = await app.daemon.ensure();
        if (await offerEngine(context, client)) await began(app, await client.request('train', { id, recipe: source }));
      });
    } catch (error) {
      app.notify.error(error, { recipe });
    }
  }

  async function pickAndTrain(): Promise<void> {
    const recipes = await findRecipes();
    if (recipes.length === 0) await offerNewRecipe();
    else await train(await pickRecipe('Select a recipe to train', recipes));
  }

  async function end(argument: unknown, name: 'stopJob' | 'abortJob'): Promise<void> {
    const isStop = name === 'stopJob';
    if (isRunGroup(argument)) return endOnCluster({ runDir: argument.sweepDir, label: argument.name }, isStop);
    const item = await runFor(app, views, argument, {
      placeHolder: isStop ? 'Select a training to stop; it saves first' : 'Select a job to end without saving',
      flag: isStop ? 'stoppable' : 'active',
      none: isStop ? 'No training is running. Use Abort to end other jobs.' : 'Nothing is running.',
    });
    if (item?.flags.includes('cluster')) return endOnCluster(item, isStop);
    const job = item?.jobId === undefined ? undefined : app.store.get(item.jobId);
    if (job === undefined) return;
    if (!isStop && isTraining(job) && !(await confirmAbort(job))) return;
    const client = await app.daemon.ensure();
    app.store.put(await client.request(name, { id: job.id }));
  }

  async function endOnCluster({ runDir, label }: Pick<RunItem, 'runDir' | 'label'>, save: boolean): Promise<void> {
    if (runDir === undefined || (!save && !(await confirmAbort({ kind: 'train', title: label })))) return;
    await (await app.daemon.ensure()).request('stopOnCluster', { runDir, save });
    await views.reloadRuns();
  }

  return {
    startTraining: pickAndTrain,
    train: async argument => train(await recipeFor(argument, 'Select a recipe to train')),
    resume: async argument => {
      const item = await runFor(app, views, argument, {
        placeHolder: 'Select a run to resume',
        flag: 'resumable',
        none: 'There is no run to resume.',
      });
      const runDir = item?.runDir;
      if (runDir === undefined) return;
      await starts.run({ runDir }, async id => began(app, await (await app.daemon.ensure()).request('resume', { id, runDir })));
    },
    stop: argument => end(argument, 'stopJob'),
    abort: argument => end(argument, 'abortJob'),
  };
}

/** Opens the page of the run at once, so that it shows the preparation, too. */
async function began(app: App, job: JobRecord): Promise<void> {
  app.store.put(job);
  if (job.runDir !== undefined) await app.pages.open('run', { runDir: job.runDir });
}

async function confirmAbort(job: Pick<JobRecord, 'kind' | 'title'>): Promise<boolean> {
  const detail = 'Updates since the last checkpoint are lost. Use Stop and Save to keep them.';
  const chosen = await window.showWarningMessage(
    `End ${kindText(job).toLowerCase()} of ${job.title} without saving?`,
    { modal: true, detail },
    'Abort',
  );
  return chosen === 'Abort';
}

async function offerNewRecipe(): Promise<void> {
  const chosen = await window.showInformationMessage('There is no recipe in this workspace yet.', 'New Recipe');
  if (chosen !== undefined) await commands.executeCommand(COMMANDS.newRecipe);
}
