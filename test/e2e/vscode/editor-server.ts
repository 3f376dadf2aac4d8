/** A separate VS Code for a test file, with its own server, user data, extensions and state of Rowtune; `stop` ends everything. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path, { join } from 'node:path';
import { cacheDir as userCacheDir } from '../../support/cache-dir.ts';
import { until } from '../../support/machine/until.ts';

/** Settings that avoid interruptions and keep the editor from inserting text by itself. */
const SETTINGS = {
  'security.workspace.trust.enabled': false,
  'workbench.startupEditor': 'none',
  'workbench.colorTheme': 'Default Dark Modern',
  'workbench.tips.enabled': false,
  // Endless animations would be rendered endlessly, by a processor.
  'workbench.reduceMotion': 'on',
  'editor.cursorBlinking': 'solid',
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'chat.disableAIFeatures': true,
  'chat.commandCenter.enabled': false,
  'extensions.autoCheckUpdates': false,
  'extensions.ignoreRecommendations': true,
  'files.autoSave': 'off',
  'git.enabled': false,
  'telemetry.telemetryLevel': 'off',
  'editor.autoIndent': 'none',
  'editor.autoClosingBrackets': 'never',
  'editor.autoClosingQuotes': 'never',
  'editor.quickSuggestions': { other: 'off', comments: 'off', strings: 'off' },
  'editor.suggestOnTriggerCharacters': false,
  'editor.acceptSuggestionOnEnter': 'off',
};

/**
 * Time limit for processes to end: the language server notices by itself that its parent is gone, and a terminal that its pipe is closed.
 */
const END_MS = 60_000;

export interface EditorParams {
  /** The editor from `findEditor`, and the folder in which the package is installed. */
  readonly editor: { readonly node: string; readonly main: string; readonly extensions: string };
  /** The user's settings, in addition to those of all tests. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** The folder of Rowtune's engines and models; by default, the user's own. */
  readonly cacheDir?: string;
  /** Packages of other extensions to install next to ours. */
  readonly extensions?: readonly string[];
}

export interface EditorServer {
  /** Address of the workbench with this folder open. */
  url(folder: string): string;
  /** State folder of Rowtune's daemon. */
  readonly stateDir: string;
  /** Everything that the editor logged about extensions, newest session last. */
  readLogs(): string;
  /** Processes that this editor started, including itself, whatever happened to their parents. */
  processes(): EditorProcess[];
  /** Stops the daemon as a user does, then kills the editor. @throws Error that names the remaining processes */
  stop(): Promise<void>;
}

export interface EditorProcess {
  readonly pid: number;
  readonly command: string;
}

/** Starts an editor with the package installed. */
export async function startEditor({
  editor,
  settings = {},
  cacheDir = userCacheDir,
  extensions: others = [],
}: EditorParams): Promise<EditorServer> {
  const home = mkdtempSync(join(tmpdir(), 'rowtune-editor-'));
  const [userData, extensions, stateDir] = [join(home, 'user-data'), join(home, 'extensions'), join(home, 'state')];
  for (const folder of [join(userData, 'User'), stateDir]) mkdirSync(folder, { recursive: true });
  cpSync(editor.extensions, extensions, { recursive: true });
  writeFileSync(join(userData, 'User', 'settings.json'), JSON.stringify({ ...SETTINGS, ...settings }));
  const env = { ...process.env, ROWTUNE_STATE: stateDir, ROWTUNE_CACHE: cacheDir, HF_HUB_OFFLINE: '1' };
  const options = [
    '--user-data-dir',
    userData,
    '--extensions-dir',
    extensions,
    '--accept-server-license-terms',
    '--telemetry-level',
    'off',
  ];
  const installs = others.flatMap(file => ['--install-extension', file]);
  if (installs.length > 0) execFileSync(editor.node, [editor.main, ...installs, ...options], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  const installed = readdirSync(extensions).find(name => name.startsWith('rowtune.'));
  if (installed === undefined) throw new Error(`the package was not installed into ${editor.extensions}`);
  const commandLine = join(extensions, installed, 'bin', 'rowtune.mjs');
  const listen = ['--without-connection-token', '--host', '127.0.0.1', '--port', '0'];
  const server = spawn(editor.node, [editor.main, ...listen, ...options], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const port = await portOf(server);
  const processes = () => processesWith(`ROWTUNE_STATE=${stateDir}`);
  return {
    stateDir,
    url: folder => `http://127.0.0.1:${port}/?folder=${encodeURIComponent(folder)}`,
    readLogs: () => readAll(join(userData, 'logs')),
    processes,
    stop: async () => {
      execFileSync(process.execPath, [commandLine, 'daemon', 'stop'], { env, stdio: 'ignore' });
      // The editor's own processes end slowly, or wait for windows; ours must notice that they are gone.
      for (const { pid } of processes().filter(({ command }) => command.includes(path.dirname(editor.main)))) killQuietly(pid);
      try {
        await until(() => processes().length === 0, 'our processes end after those of the editor', END_MS);
      } catch (error) {
        const left = processes();
        for (const { pid } of left) killQuietly(pid);
        throw new Error(`left over: ${left.map(({ pid, command }) => `${pid} ${command}`).join('; ')}`, { cause: error });
      } finally {
        rmSync(home, { recursive: true, force: true });
      }
    },
  };
}

function portOf(server: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    let said = '';
    const read = (chunk: Buffer) => {
      said += chunk.toString();
      const port = /listening on (\d+)/.exec(said)?.[1];
      if (port) resolve(Number(port));
    };
    server.stdout?.on('data', read);
    server.stderr?.on('data', read);
    server.once('error', reject);
    server.once('exit', status => reject(new Error(`the editor ended with status ${status}:\n${said}`)));
  });
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended in the meantime.
  }
}

/** Finds processes by a variable in their environment, which all child processes inherit. */
function processesWith(assignment: string): EditorProcess[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(name => {
      try {
        if (!readFileSync(`/proc/${name}/environ`, 'utf8').split('\0').includes(assignment)) return [];
        return [{ pid: Number(name), command: readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim() }];
      } catch {
        return []; // it has ended in the meantime
      }
    });
}

const readAll = (folder: string): string =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name))
    .sort()
    .map(file => `== ${file}\n${readFileSync(file, 'utf8')}`)
    .join('\n');
