/** Doctor, Install Engine, Set Hub Token, and the offer to install an engine before the first training. */
import { window } from 'vscode';
import { isOneOf } from '../../trainer/catalog/entries.ts';
import { type InstallationName, installationNames, installations } from '../../trainer/catalog/installations.ts';
import { byteSize, capitalized } from '../../trainer/protocol/text/format.ts';
import type { DaemonClient } from '../../trainer/rpc/connection/connect.ts';
import { runCommandLine } from '../daemon/run-command-line.ts';
import { runJob } from '../daemon/run-job.ts';
import { HUB_TOKEN } from '../daemon/trainer.ts';
import { doctorReport } from '../reports.ts';
import type { CommandContext } from './command-context.ts';
import type { CommandTable } from './command-ids.ts';

/** Key in the global state: the user declined the offer to install an engine. */
const ENGINE_DECLINED = 'rowtune.engineDeclined';

export function engineCommands(context: CommandContext): CommandTable<'doctor' | 'installEngine' | 'setHubToken'> {
  const { app, reports } = context;
  return {
    doctor: async () => {
      const job = await runJob(app, { title: 'Rowtune Doctor', start: (client, id) => client.request('doctor', { id, engine: 'auto' }) });
      if (job !== undefined) await reports.show('Rowtune Doctor', doctorReport(job.result));
    },
    // Buttons of errors name what is missing; a menu passes its item.
    installEngine: async named => {
      const isNamed = isOneOf(installationNames, named);
      const name = isNamed ? named : await askInstallation(context);
      if (name !== undefined && (!isNamed || (await confirmInstallation(name)))) await install(context, name);
    },
    setHubToken: async () => {
      const token = await window.showInputBox({
        title: 'Hugging Face access token',
        prompt: 'Stored in the secret storage of the editor and used for downloads and pushes. Leave it empty to remove the token.',
        password: true,
        ignoreFocusOut: true,
        placeHolder: 'hf_…',
      });
      if (token === undefined) return;
      if (token.trim() === '') await app.context.secrets.delete(HUB_TOKEN);
      else await app.context.secrets.store(HUB_TOKEN, token.trim());
      const isLocal = app.daemon.state.kind === 'connected' && !app.daemon.state.isRemote;
      app.notify.info(
        `The token was ${token.trim() === '' ? 'removed' : 'stored'}.${isLocal ? ' The daemon uses it after a restart.' : ''}`,
      );
    },
  };
}

/** @returns the installation that the user chooses from a list with the size of each; undefined if none */
async function askInstallation({ app }: CommandContext): Promise<InstallationName | undefined> {
  const status = await app.daemon.current?.request('engineStatus', {}).catch(() => undefined);
  const items = installationNames.map(name => {
    const { label, purpose, download } = installations[name];
    return { label, description: download, detail: capitalized(purpose), name };
  });
  const picked = await window.showQuickPick(items, {
    title: 'Install Engine',
    placeHolder: `Select what to download${status === undefined ? '' : ` (${byteSize(status.freeDiskBytes)} of disk is free)`}`,
    matchOnDetail: true,
    ignoreFocusOut: true,
  });
  return picked?.name;
}

/** Asks whether an installation that an error or a button named may be downloaded. */
async function confirmInstallation(name: InstallationName): Promise<boolean> {
  const { label, purpose, download } = installations[name];
  const detail = `It ${purpose}. The download is ${download}.`;
  return (await window.showInformationMessage(`Install ${label}?`, { modal: true, detail }, 'Install')) !== undefined;
}

/** Downloads what the user agreed to, and shows every line as it arrives. @returns true if it is now installed */
async function install({ app, views }: CommandContext, name: InstallationName): Promise<boolean> {
  const { label, args } = installations[name];
  const { channel } = app.output;
  channel.show(true);
  try {
    const result = await runCommandLine(app, { title: `Installing ${label}`, args, onLine: line => channel.appendLine(line) });
    await views.reloadDevices();
    app.notify.info(`${String(result.name)} is installed.`);
    return true;
  } catch (error) {
    app.notify.error(error);
    return false;
  }
}

/**
 * Offers to install an engine before training on a machine without TensorFlow.
 * @returns true to continue
 */
export async function offerEngine(context: CommandContext, client: DaemonClient): Promise<boolean> {
  const { app } = context;
  const { globalState } = app.context;
  if (globalState.get(ENGINE_DECLINED) === true) return true;
  // An engine on another machine can't be installed from here.
  if (app.daemon.state.kind === 'connected' && app.daemon.state.isRemote) return true;
  if ((await client.request('engineStatus', {})).installedEngines.length > 0) return true;
  const { purpose, download } = installations.tensorflow;
  const accept = 'Install TensorFlow';
  const portable = 'Use the Portable Engine';
  const never = "Don't Ask Again";
  const chosen = await window.showInformationMessage(
    `TensorFlow is not installed. It ${purpose}, which works without an installation. The download is ${download}.`,
    accept,
    portable,
    never,
  );
  if (chosen === accept) return install(context, 'tensorflow');
  if (chosen === never) await globalState.update(ENGINE_DECLINED, true);
  return chosen !== undefined;
}
