/** ONNX Runtime on a file: its outputs, to compare with ours. It computes on the processor. */
import { installedPackage } from '../engine/install/optional-packages.ts';
import { messageOf } from '../protocol/error-facts.ts';
import { onnxRuntimeName } from './onnxruntime-packages.ts';

/** A tensor that is fed or given. */
export interface RuntimeTensor {
  readonly type: 'float32' | 'int64';
  readonly data: Float32Array | BigInt64Array;
  readonly dims: readonly number[];
}

export interface OnnxRuntime {
  /** @throws OnnxRuntimeError with its own words */
  run(feeds: Readonly<Record<string, RuntimeTensor>>): Promise<ReadonlyMap<string, RuntimeTensor>>;
  close(): Promise<void>;
}

/** ONNX Runtime cannot load or run a file; the message has its own words. */
export class OnnxRuntimeError extends Error {
  override name = 'OnnxRuntimeError';
}

/** The used part of onnxruntime-node, which is no dependency and so has no types here. */
interface Binding {
  readonly InferenceSession: { create(path: string, options: object): Promise<Session> };
  readonly Tensor: new (type: string, data: Float32Array | BigInt64Array, dims: readonly number[]) => RuntimeTensor;
}
interface Session {
  run(feeds: Readonly<Record<string, RuntimeTensor>>): Promise<Readonly<Record<string, RuntimeTensor>>>;
  release(): Promise<void>;
}

/** Its fourth level, errors alone. */
const ERRORS_ALONE = 3;

/** @throws OnnxRuntimeError where it cannot load the file; Error where it is not installed */
export async function openOnnxRuntime(
  path: string,
  { cacheDir, threads }: { readonly cacheDir: string; readonly threads: number },
): Promise<OnnxRuntime> {
  // A package that is not ours, installed in the version that this program names; `Binding` lists what is used of it.
  const { InferenceSession, Tensor } = (await import(installedPackage(cacheDir, { name: onnxRuntimeName }, 'onnxruntime-node'))) as Binding;
  const failed = (what: string) => (error: unknown) => {
    throw new OnnxRuntimeError(`ONNX Runtime cannot ${what}: ${messageOf(error)}`, { cause: error });
  };
  const options = { executionProviders: ['cpu'], intraOpNumThreads: threads, interOpNumThreads: 1, logSeverityLevel: ERRORS_ALONE };
  const session = await InferenceSession.create(path, options).catch(failed(`load ${path}`));
  return {
    run: async feeds => {
      const tensors = Object.entries(feeds).map(([name, { type, data, dims }]) => [name, new Tensor(type, data, dims)] as const);
      return new Map(Object.entries(await session.run(Object.fromEntries(tensors)).catch(failed(`run ${path}`))));
    },
    close: () => session.release(),
  };
}
