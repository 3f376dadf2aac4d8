/** The language server's client. The server starts by command, or when the first recipe or model config opens. */
import path from 'node:path';
import { type ExtensionContext, type LogOutputChannel, type TextDocument, window, workspace } from 'vscode';
import type { LanguageClient } from 'vscode-languageclient/node';
import { setContext } from './context-keys.ts';
import { DATA_ENDINGS } from './recipe/data-endings.ts';
import { RECIPE_GLOB } from './recipe/recipe-names.ts';

/** Files that the server checks, as globs of file names. */
const DOCUMENTS = [
  RECIPE_GLOB,
  '**/{config,generation_config,adapter_config,preprocessor_config,processor_config,model.safetensors.index,pytorch_model.bin.index}.json',
] as const;

/** Files that the server reads in addition to open documents: models, weights, data. */
const WATCHED = [
  RECIPE_GLOB,
  '**/{config,generation_config,adapter_config,preprocessor_config,processor_config,model.safetensors.index,pytorch_model.bin.index,tokenizer,tokenizer_config}.json',
  `**/{*.{safetensors,gguf,${DATA_ENDINGS}},pytorch_model*.bin}`,
];

export interface ServerControl {
  readonly channel: LogOutputChannel;
  isRunning(): boolean;
  start(): Promise<void>;
  stop(): Promise<void>;
  dispose(): Promise<void>;
}

export interface ServerParams {
  readonly context: ExtensionContext;
  /** The folder where the server finds models. */
  readonly cacheDir: string;
  readonly onError: (error: unknown) => void;
}

export function createServer({ context, cacheDir, onError }: ServerParams): ServerControl {
  const channel = window.createOutputChannel('Rowtune Language Server', { log: true });
  let client: LanguageClient | undefined;
  let changing: Promise<void> = Promise.resolve();
  const mark = (running: boolean): void => setContext('rowtune.serverRunning', running);

  const start = async (): Promise<void> => {
    // Loaded here because it is half a megabyte that a window without recipes never needs.
    const { LanguageClient, TransportKind, State } = await (await import('./lazy-modules.ts')).languageClient();
    if (client !== undefined && client.state !== State.Stopped) return;
    // After too many crashes, the client gave up; a new one can start the server again.
    await client?.dispose().catch(() => undefined);
    const started = new LanguageClient(
      'rowtune',
      'Rowtune Language Server',
      {
        module: context.asAbsolutePath(path.join('dist', 'server.js')),
        transport: TransportKind.ipc,
        options: { env: { ...process.env, ROWTUNE_CACHE: cacheDir } },
      },
      {
        documentSelector: DOCUMENTS.map(pattern => ({ pattern })),
        outputChannel: channel,
        synchronize: {
          fileEvents: WATCHED.map(pattern => workspace.createFileSystemWatcher(pattern)),
          configurationSection: ['rowtune.daemon', 'rowtune.card'],
        },
      },
    );
    client = started;
    started.onDidChangeState(({ newState }) => mark(newState === State.Running));
    try {
      await started.start();
    } catch (error) {
      client = undefined;
      throw error;
    }
  };
  const stop = async (): Promise<void> => {
    const running = client;
    client = undefined;
    mark(false);
    await running?.dispose();
  };
  /** Runs one change at a time: stopping during a start would leave a process behind. */
  const inTurn = (change: () => Promise<void>): Promise<void> => {
    const next = changing.then(change);
    changing = next.catch(() => undefined);
    return next;
  };
  const control: ServerControl = {
    channel,
    isRunning: () => client?.isRunning() ?? false,
    start: () => inTurn(start),
    stop: () => inTurn(stop),
    dispose: async () => {
      await inTurn(stop);
      channel.dispose();
    },
  };

  const startFor = (document: TextDocument): boolean => {
    if (!isServed(document)) return false;
    waiting.dispose();
    control.start().catch(onError);
    return true;
  };
  const waiting = workspace.onDidOpenTextDocument(startFor);
  context.subscriptions.push(waiting);
  // Deferred until after activation, because the editor waits for activation.
  setTimeout(() => workspace.textDocuments.some(startFor));
  return control;
}

const SERVED_NAME =
  /(?:\.rowtune\.(?:ya?ml|json)|(?:^|\/)(?:config|generation_config|adapter_config|preprocessor_config|processor_config|(?:model\.safetensors|pytorch_model\.bin)\.index)\.json)$/i;

const isServed = ({ uri }: TextDocument): boolean => ['file', 'untitled'].includes(uri.scheme) && SERVED_NAME.test(uri.path);
