/** Opens an engine by name. An engine is imported only if it runs. */
import type { Engine, EngineName } from './engine.ts';

export interface OpenParams {
  readonly cacheDir: string;
  /** Receives one line for the user. */
  readonly log?: (line: string) => void;
  /** Number of devices that this process uses, on an engine that can use several; 1 if omitted. */
  readonly devices?: number;
}

const openers: Record<EngineName, (params: OpenParams) => Promise<Engine>> = {
  tensorflow: async ({ cacheDir }) => (await import('./tensorflow/engine.ts')).openTensorflow({ cacheDir }),
  pjrt: async params => (await import('./pjrt/engine.ts')).openPjrt(params),
  portable: async ({ cacheDir, log }) => (await import('./portable/engine.ts')).openPortable({ cacheDir, log }),
};

/**
 * Opens an engine in this process. A TensorFlow run blocks the thread, so this belongs in a worker process that was started with
 * `workerEnvironment`.
 * @throws EngineError if it is not installed or does not load
 */
export const openEngine = (name: EngineName, params: OpenParams): Promise<Engine> => openers[name](params);
