/** `rowtune push`: uploads an export to a repository on the hub. */
import { stat } from 'node:fs/promises';
import path from 'node:path';
import manifest from '../../../package.json' with { type: 'json' };
import { exportParts } from '../../artifact/export-manifest.ts';
import { type PushFile, type PushProgress, type PushResult, pushFiles } from '../../hub/hub-push.ts';
import { hubToken } from '../../hub/hub-token.ts';
import { EXPORT_MANIFEST } from '../../protocol/export-manifest-name.ts';
import { byteSize, counted } from '../../protocol/text/format.ts';
import { shellWord } from '../../protocol/text/shell-word.ts';
import { isRunFolder } from '../../run/run-folder.ts';
import { CliError } from '../cli-error.ts';
import { type AddCommand, type CommandContext, type CommandResult, runCommandWork, withCommonOptions } from '../command.ts';

interface PushOptions {
  readonly public?: boolean;
  readonly message?: string;
  readonly dryRun?: boolean;
}

/** The model card, which the user may edit. */
const CARD = 'README.md';

export const addPush: AddCommand = (program, surroundings) => {
  const command = program
    .command('push')
    .description('upload an export to a repository on the Hugging Face Hub; a new repository is private')
    .argument('<folder>', 'a folder that `rowtune export` wrote')
    .argument('<repository>', 'its name on the hub: organization/name, or a name below your account')
    .option('--public', 'create a public repository, or confirm that the repository is public')
    .option('--message <text>', 'the title of the commit')
    .option('--dry-run', 'show what would be uploaded, and change nothing');
  const examples = [
    'rowtune push spam-model ada/spam',
    'rowtune push spam-peft ada/spam-lora --dry-run',
    'rowtune push chat-gguf ada/chat-gguf --public --message "Tuned for two epochs"',
  ];
  withCommonOptions(command, examples).action((folder: string, repo: string, options: PushOptions) =>
    runCommandWork(command, surroundings, context => push(context, folder, repo, options)),
  );
};

async function push(
  context: CommandContext,
  given: string,
  repo: string,
  { public: isPublic = false, message = `Upload by rowtune ${manifest.version}`, dryRun: isDryRun = false }: PushOptions,
): Promise<CommandResult> {
  const { settings, terminal, cwd } = context;
  const folder = path.resolve(cwd, given);
  const files = await filesOf(context, folder);
  const result = await pushFiles({
    ...{ repo, files, isPublic, message, isDryRun },
    cacheDir: settings.cacheDir,
    endpoint: settings.hub.endpoint,
    token: await requireToken(context),
    onWarning: text => terminal.say('warning', text),
    onProgress: progress => terminal.progress.update(progressEvent(progress)),
  });
  terminal.print(describe(result, isDryRun));
  return { value: { ok: true, dryRun: isDryRun, ...result } };
}

async function requireToken({ settings }: CommandContext): Promise<string> {
  if (settings.hub.offline)
    throw new CliError('The network is switched off by HF_HUB_OFFLINE.', { code: 'offline', hint: 'Unset it to push.' });
  const token = await hubToken(settings.hub.token, settings.hubTokenFile);
  if (token !== undefined) return token;
  throw new CliError(`There is no token of the hub: neither HF_TOKEN nor ${settings.hubTokenFile} holds one.`, {
    code: 'no-token',
    hint: 'Create an access token with the role "write" in the settings of your account on the hub, and set HF_TOKEN to it.',
  });
}

/** The files of the export, checked to be unchanged; the model card may have been edited. */
async function filesOf({ terminal }: CommandContext, folder: string): Promise<readonly PushFile[]> {
  const parts = await exportParts(folder).catch(() => undefined);
  if (parts === undefined) throw await notExported(folder);
  const changed = parts.filter(({ name, state }) => state === 'changed' && name !== CARD).map(({ name }) => name);
  if (changed.length > 0)
    throw new CliError(`${changed.join(', ')} changed after the export was verified.`, {
      code: 'changed-export',
      hint: 'Export the run again, and push that.',
    });
  const others = parts.filter(({ state }) => state === 'other').map(({ name }) => name);
  if (others.length > 0) terminal.say('warning', `not part of the export, so not pushed: ${others.join(', ')}`);
  const names = parts.filter(({ state }) => state !== 'other').map(({ name }) => name);
  return Promise.all(
    names.map(async name => {
      const file = path.join(folder, name);
      return { name, path: file, size: (await stat(file)).size };
    }),
  );
}

async function notExported(folder: string): Promise<CliError> {
  if (await isRunFolder(folder))
    return new CliError(`${folder} is a run, not an export.`, {
      code: 'no-export',
      hint: `Run "rowtune export ${shellWord(folder)} --format merged --output DIR", and push DIR.`,
    });
  return new CliError(`${folder} holds no export: it has no readable ${EXPORT_MANIFEST}.`, {
    code: 'no-export',
    hint: 'Push a folder that "rowtune export" wrote.',
  });
}

const progressEvent = ({ phase, bytes, totalBytes }: PushProgress) =>
  ({ type: 'progress', phase, done: bytes, total: totalBytes, unit: 'bytes' }) as const;

function describe({ repo, url, visibility, isNew, uploaded, unchanged, commit }: PushResult, isDryRun: boolean): string {
  const bytes = uploaded.reduce((sum, { size }) => sum + size, 0);
  const created = isNew ? [`${isDryRun ? 'would create' : 'created'} the ${visibility} repository ${repo}`] : [];
  const sent = uploaded.map(({ name, size }) => `  ${name} (${byteSize(size)})`);
  const count = `${counted(uploaded.length, 'file')}, ${byteSize(bytes)}`;
  const head = uploaded.length === 0 ? 'the hub has all files already' : `${isDryRun ? 'would upload' : 'uploaded'} ${count}:`;
  const kept = unchanged.length > 0 && uploaded.length > 0 ? [`unchanged: ${unchanged.join(', ')}`] : [];
  const where = isDryRun ? [] : [`${url} (${visibility}${commit === undefined ? '' : `, commit ${commit.slice(0, 7)}`})`];
  return [...created, head, ...sent, ...kept, ...where].join('\n');
}
