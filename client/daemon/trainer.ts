/** Runs the trainer's command line with the user's Node, engine and token. */
import path from 'node:path';
import type { ExtensionContext } from 'vscode';
import type { ClientSettings } from '../client-settings.ts';
import { extensionVersion } from '../extension-version.ts';
import type { Output } from '../output.ts';
import { requireTrust } from '../trust.ts';
import { cleanEnvironment, findNode, findTrainer, type NodeProgram, runRowtune } from './rowtune-program.ts';

/** The key of the secret that holds the hub token. */
export const HUB_TOKEN = 'rowtune.hubToken';

export interface RowtuneOptions {
  readonly onLine?: (line: string) => void;
  readonly signal?: AbortSignal;
}

/** The program and environment for starting the command line. */
export interface Launch {
  /** The user's Node. */
  readonly node: NodeProgram;
  /** The bundle of the command line, or the program in the settings. */
  readonly program: string;
  /** The environment, including the hub token. */
  readonly env: NodeJS.ProcessEnv;
  /** The version of the extension. */
  readonly version: string;
}

export interface Trainer {
  launch(): Promise<Launch>;
  /** Returns the JSON that the command prints. */
  rowtune(args: readonly string[], options?: RowtuneOptions): Promise<Readonly<Record<string, unknown>>>;
}

export interface TrainerParams {
  readonly context: ExtensionContext;
  readonly output: Output;
  settings(): ClientSettings;
  readonly folders: { readonly stateDir: string; readonly cacheDir: string };
}

export function createTrainer({ context, output, settings, folders }: TrainerParams): Trainer {
  const nodeProgram = createNodeFinder(() => settings().node);
  const environment = async (): Promise<NodeJS.ProcessEnv> => {
    const { engine } = settings();
    const token = await context.secrets.get(HUB_TOKEN);
    return {
      ...cleanEnvironment(process.env),
      ROWTUNE_STATE: folders.stateDir,
      ROWTUNE_CACHE: folders.cacheDir,
      ...(engine === 'default' ? {} : { ROWTUNE_ENGINE: engine }),
      ...(token === undefined ? {} : { HF_TOKEN: token }),
    };
  };
  const launch = async (): Promise<Launch> => {
    const { trainerPath } = settings();
    const program = await findTrainer({ configured: trainerPath, bundled: context.asAbsolutePath(path.join('dist', 'rowtune.js')) });
    return { node: await nodeProgram(), program, env: await environment(), version: extensionVersion(context) };
  };
  return {
    launch,
    rowtune: async (args, { onLine, signal } = {}) => {
      requireTrust();
      const { node, program, env } = await launch();
      output.write('debug', `runs ${program} ${args.join(' ')}`);
      return runRowtune({ node, program, args, env, onLine, signal });
    },
  };
}

/** Finds Node once per value of its setting. */
function createNodeFinder(setting: () => string): () => Promise<NodeProgram> {
  let node: { readonly configured: string; readonly found: Promise<NodeProgram> } | undefined;
  return () => {
    const configured = setting();
    if (node?.configured !== configured) {
      const found = findNode({ configured, execPath: process.execPath, env: cleanEnvironment(process.env) });
      node = { configured, found };
      // Search again on the next use: the user may have installed Node in the meantime.
      found.catch(() => {
        node = undefined;
      });
    }
    return node.found;
  };
}
