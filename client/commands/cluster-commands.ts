/** Train on Slurm, Start Sweep on Slurm: both show what they will submit and ask for confirmation. */
import path from 'node:path';
import { Uri, window } from 'vscode';
import type { ClusterProfile, SubmitParams } from '../../trainer/protocol/run/cluster.ts';
import type { DaemonClient } from '../../trainer/rpc/connection/connect.ts';
import { isRunItem } from '../ask/pick-run.ts';
import { PendingStarts } from '../daemon/pending-starts.ts';
import { recipeFor, recipeSource, sweepRecipeFor } from '../recipe/recipe-files.ts';
import { recipeStem } from '../recipe/recipe-names.ts';
import { isRunGroup } from '../views/run-tree.ts';
import type { CommandContext } from './command-context.ts';
import type { CommandTable } from './command-ids.ts';

interface Submitting {
  /** The name of the recipe, the run or the sweep. */
  readonly name: string;
  readonly what: SubmitParams['what'];
  /** The folder that may contain a profile. */
  readonly folder: string;
}

const SUBMIT = 'Submit';
const OTHER = 'Choose Profile…';

export function clusterCommands({ app, views }: CommandContext): CommandTable<'trainOnSlurm' | 'sweepOnSlurm'> {
  const starts = new PendingStarts();
  /** True while the command waits for its confirmation; starting it again does nothing. */
  let isAsking = false;

  async function submit(submitting: Submitting): Promise<void> {
    if (isAsking) return;
    isAsking = true;
    try {
      await ask(submitting);
    } finally {
      isAsking = false;
    }
  }

  async function ask({ name, what, folder }: Submitting): Promise<void> {
    const client = await app.daemon.ensure();
    const profile = await chooseProfile(client, name, folder);
    if (profile === undefined) return;
    await starts.run({ what, profile }, async id => {
      const { jobId, folder: submitted, text } = await client.request('submitToCluster', { id, what, profile: profile.file });
      await views.reloadRuns();
      app.notify.info(`${name} is job ${jobId} of Slurm (${text}). The view Runs shows its place in the queue, and can stop it.`);
      if (what.kind === 'train') await app.pages.open('run', { runDir: submitted });
    });
  }

  /** Returns the profile that the user confirmed; undefined if nothing is to be submitted. */
  async function chooseProfile(client: DaemonClient, name: string, folder: string): Promise<ClusterProfile | undefined> {
    let { profiles } = await client.request('clusterProfiles', { folder });
    for (;;) {
      const profile = profiles.length === 1 ? profiles[0] : await pickProfile(profiles);
      if (profile === undefined) return undefined;
      const from = profile.file === undefined ? 'No profile (slurm.yaml) was found.' : profile.file;
      const chosen = await window.showInformationMessage(
        profile.isValid ? `Submit ${name} to Slurm?` : `The profile for ${name} is not valid.`,
        { modal: true, detail: `${from}\n${profile.text}` },
        ...(profile.isValid ? [SUBMIT, OTHER] : [OTHER]),
      );
      if (chosen === SUBMIT) return profile;
      const file = chosen === OTHER ? await otherProfile(folder) : undefined;
      if (file === undefined) return undefined;
      ({ profiles } = await client.request('clusterProfiles', { folder, file }));
    }
  }

  /** Asks for the path of a profile on the daemon's machine. */
  async function otherProfile(folder: string): Promise<string | undefined> {
    if (app.services.isRemote())
      return window.showInputBox({
        prompt: 'Enter the path of a Slurm profile on the machine of the daemon',
        value: path.posix.join(folder, 'slurm.yaml'),
      });
    const [file] =
      (await window.showOpenDialog({
        defaultUri: Uri.file(folder),
        filters: { 'Slurm profiles': ['yaml', 'yml'] },
        openLabel: 'Use Profile',
      })) ?? [];
    return file?.fsPath;
  }

  async function submitRecipe(recipe: Uri | undefined, kind: 'train' | 'sweep'): Promise<void> {
    if (recipe === undefined) return;
    try {
      const source = await recipeSource(recipe, app.settings());
      await submit({ name: recipeStem(recipe.path), what: { kind, recipe: source }, folder: source.baseDir });
    } catch (error) {
      app.notify.error(error, { recipe });
    }
  }

  const submitRest = (folder: string, name: string): Promise<void> =>
    submit({ name, what: { kind: 'continue', folder }, folder: path.dirname(folder) });

  return {
    trainOnSlurm: async argument => {
      if (isRunItem(argument) && argument.runDir !== undefined) await submitRest(argument.runDir, argument.label);
      else await submitRecipe(await recipeFor(argument, 'Select a recipe to train on Slurm'), 'train');
    },
    sweepOnSlurm: async argument => {
      if (isRunGroup(argument)) await submitRest(argument.sweepDir, argument.name);
      else await submitRecipe(await sweepRecipeFor(argument), 'sweep');
    },
  };
}

async function pickProfile(profiles: readonly ClusterProfile[]): Promise<ClusterProfile | undefined> {
  const items = profiles.map(profile => ({
    label: path.basename(profile.file ?? ''),
    description: profile.text,
    detail: profile.file,
    profile,
  }));
  return (await window.showQuickPick(items, { placeHolder: 'Select a Slurm profile', matchOnDescription: true }))?.profile;
}
