/** Compiles modules for one device, or finds them already compiled, and explains what the plugin's compiler rejects. */
import { messageOf } from '../../protocol/error-facts.ts';
import { EngineError } from '../engine.ts';
import type { Addon, ClientHandle, ExecutableHandle } from './addon.ts';
import { compileOnce } from './compile-once.ts';
import { type CompilerFolders, compileOptions, type PluginFlags, withFolders } from './compile-options.ts';
import { keepMemory } from './compiled-memory.ts';
import type { LoweredSignature } from './lower.ts';
import type { ProgramCache, ProgramKey } from './program-cache.ts';

/** A module, and the number of devices that run it at the same time. */
export type Module = Pick<LoweredSignature, 'text' | 'operationAt'> & { readonly replicas?: number | undefined };

export interface Compiler {
  /**
   * Compiles a module, or waits for another process that compiles it.
   * @param signal ends the waiting
   * @throws EngineError that names the operation of the graph that the compiler rejects
   */
  compile(signature: string, module: Module, signal?: AbortSignal): Promise<ExecutableHandle>;
  /** Number of programs compiled so far, and number found already compiled. */
  readonly counts: { readonly compiled: number; readonly found: number };
}

export interface CompilerParams {
  readonly addon: Addon;
  readonly client: ClientHandle;
  readonly cache: ProgramCache;
  readonly target: Pick<ProgramKey, 'plugin' | 'device'>;
  readonly folders?: CompilerFolders;
  /** The flags that the plugin has. */
  readonly plugin: PluginFlags;
  /** Receives one line for the user while a compilation takes long. */
  readonly log: (line: string) => void;
}

/** Limit for messages: a compiler may include whole modules in them. */
const KEPT_CHARACTERS = 600;
/** Minimum length of cached modules: shorter ones compile faster than a file is read. */
const KEPT_MODULE_CHARACTERS = 20_000;
const REPORT_MS = 5000;

export function openCompiler({ addon, client, cache, target, folders = {}, plugin, log }: CompilerParams): Compiler {
  const counts = { compiled: 0, found: 0 };

  async function find(key: ProgramKey): Promise<ExecutableHandle | undefined> {
    const bytes = cache.find(key);
    if (!bytes) return undefined;
    try {
      const executable = await addon.deserialize(client, bytes);
      await keepMemory(cache, key, () => addon.compiledMemory(executable));
      return executable;
    } catch {
      await cache.drop(key);
      return undefined;
    }
  }

  async function compileNow(signature: string, { text, operationAt }: Module, options: Uint8Array): Promise<ExecutableHandle> {
    const started = Date.now();
    const report = setInterval(() => log(`compiling ${signature}: ${Math.round((Date.now() - started) / 1000)} s so far`), REPORT_MS);
    try {
      const executable = await addon.compile(client, Buffer.from(text), withFolders(options, folders));
      counts.compiled++;
      return executable;
    } catch (error) {
      const message = messageOf(error);
      const line = /:(\d+):\d+/.exec(message)?.[1];
      const operation = line === undefined ? undefined : operationAt(Number(line));
      const where = operation === undefined ? '' : ` at ${operation}`;
      throw new EngineError(`the PJRT plugin could not compile ${signature}${where}: ${message.slice(0, KEPT_CHARACTERS)}`, {
        cause: error,
      });
    } finally {
      clearInterval(report);
    }
  }

  /** Caches a program, unless the plugin cannot serialize its programs. */
  async function keep(key: ProgramKey, executable: ExecutableHandle): Promise<void> {
    const bytes = await addon.serialize(executable).catch(() => undefined);
    if (bytes) await cache.keep(key, bytes);
    await keepMemory(cache, key, () => addon.compiledMemory(executable));
  }

  return {
    counts,
    compile: async (signature, module, signal) => {
      const { text, replicas } = module;
      const options = compileOptions({ text, replicas }, plugin);
      if (text.length < KEPT_MODULE_CHARACTERS) return compileNow(signature, module, options);
      const key = { ...target, options, text };
      const { program, found } = await compileOnce({
        lock: cache.lockOf(key),
        title: signature,
        find: () => find(key),
        compile: async () => {
          const executable = await compileNow(signature, module, options);
          await keep(key, executable);
          return executable;
        },
        log,
        signal,
      });
      if (found) counts.found++;
      return program;
    },
  };
}
