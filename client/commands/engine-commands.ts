/** Doctor, Install Engine, Set Hub Token, and the offer to install an engine before the first training. */
import { window } from 'vscode';
import { isOneOf, namesOf } from '../../trainer/catalog/entries.ts';
import { type ToolName, toolArguments, toolCatalog } from '../../trainer/catalog/tools.ts';
import type { DaemonClient } from '../../trainer/rpc/connection/connect.ts';
import { type CommandLine, runCommandLine } from '../daemon/run-command-line.ts';
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
    // Buttons of errors name a tool; a menu passes its item.
    installEngine: async tool => {
      if (isOneOf(namesOf(toolCatalog), tool)) await installTool(context, tool);
      else await installEngine(context);
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

/** Shows every line as it arrives. @returns true if an engine is now installed */
export async function installEngine(context: CommandContext): Promise<boolean> {
  const name = await install(context, { title: 'Installing the TensorFlow engine', args: ['engine', 'install'] });
  if (name === undefined) return false;
  await context.views.reloadDevices();
  context.app.notify.info(`The engine ${name} is installed.`);
  return true;
}

async function installTool(context: CommandContext, tool: ToolName): Promise<void> {
  const { label } = toolCatalog[tool];
  const name = await install(context, { title: `Installing ${label}`, args: toolArguments(tool) });
  if (name !== undefined) context.app.notify.info(`${name} is installed.`);
}

/** @returns the name of the installed folder; undefined if the installation failed or was canceled */
async function install({ app }: CommandContext, command: Pick<CommandLine, 'title' | 'args'>): Promise<string | undefined> {
  const { channel } = app.output;
  channel.show(true);
  try {
    const { name } = await runCommandLine(app, { ...command, onLine: line => channel.appendLine(line) });
    return String(name);
  } catch (error) {
    app.notify.error(error);
    return undefined;
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
  const install = 'Install Engine';
  const portable = 'Use the Portable Engine';
  const never = "Don't Ask Again";
  const chosen = await window.showInformationMessage(
    'TensorFlow is not installed. It is several times faster than the portable engine, which works without an installation.',
    install,
    portable,
    never,
  );
  if (chosen === install) return installEngine(context);
  if (chosen === never) await globalState.update(ENGINE_DECLINED, true);
  return chosen !== undefined;
}
