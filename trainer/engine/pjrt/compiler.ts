/** Compiles modules for one device, and explains what the compiler refuses. */
import { EngineError } from '../engine.ts';
import type { Addon, ClientHandle, ExecutableHandle } from './addon.ts';
import { compileOptions } from './compile-options.ts';
import type { LoweredSignature } from './lower.ts';

export interface Compiler {
  /** @throws EngineError with the operation of the graph that the compiler refuses */
  compile(signature: string, module: Pick<LoweredSignature, 'text' | 'operationAt'>): Promise<ExecutableHandle>;
}

/** A compiler writes whole modules into its messages. */
const KEPT_CHARACTERS = 600;

export function openCompiler(addon: Addon, client: ClientHandle): Compiler {
  const options = compileOptions();
  return {
    compile: async (signature, { text, operationAt }) => {
      try {
        return await addon.compile(client, Buffer.from(text), options);
      } catch (error) {
        const { message } = error as Error;
        const line = /:(\d+):\d+/.exec(message)?.[1];
        const operation = line === undefined ? undefined : operationAt(Number(line));
        const where = operation === undefined ? '' : ` at ${operation}`;
        throw new EngineError(`the PJRT plugin could not compile ${signature}${where}: ${message.slice(0, KEPT_CHARACTERS)}`, {
          cause: error,
        });
      }
    },
  };
}
