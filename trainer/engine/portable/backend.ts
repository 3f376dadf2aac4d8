/** Opens one of tfjs's backends that the machine supports, and loads it only on request. */

import * as tf from '@tensorflow/tfjs-core';
import { isRecord } from '../../narrow.ts';
import { messageOf } from '../../protocol/error-facts.ts';
import { EngineError } from '../engine.ts';
import { inTurn } from './turn.ts';
import { resolveWasmFolder } from './wasm-folder.ts';
import { registerWasmKernels } from './wasm-kernels.ts';
import { findAdapter, registerWebgpu, watchDevice } from './webgpu.ts';

export type BackendName = 'webgpu' | 'wasm' | 'cpu';

export interface OpenBackend {
  readonly name: BackendName;
  /** A summary for the user, for example "wasm with SIMD, 1 thread". */
  readonly summary: string;
  readonly device: 'cpu' | 'gpu';
  /** Returns the device error since the last call, if any: a GPU reports a bad shader or lost memory late, and computes zeros meanwhile. */
  readonly takeFault: () => string | undefined;
}

export interface BackendParams {
  /** Folder of packages that are not dependencies of Rowtune. */
  readonly cacheDir?: string;
  readonly log: (line: string) => void;
}

const noFault = (): undefined => undefined;

/**
 * Opens a backend; `auto` uses webgpu if there is a GPU (not a software renderer), else wasm, else plain JavaScript, and logs each
 * fallback.
 * @throws EngineError if the backend requested by name cannot be opened
 */
export const openBackend = (wanted: BackendName | 'auto', params: BackendParams): Promise<OpenBackend> =>
  inTurn(() => open(wanted, params));

async function open(wanted: BackendName | 'auto', params: BackendParams): Promise<OpenBackend> {
  const { cacheDir, log } = params;
  // Production mode: no advice about other packages on the console.
  tf.enableProdMode();
  if (wanted !== 'auto') return openers[wanted](params);
  for (const name of ['webgpu', 'wasm'] as const) {
    try {
      if (name === 'webgpu' && (await findAdapter(cacheDir)).software)
        log('portable engine: no GPU found (only a software adapter), so not webgpu');
      else return await openers[name](params);
    } catch (error) {
      log(`portable engine: ${name} is not available: ${messageOf(error)}`);
    }
  }
  return openers.cpu(params);
}

const openers: Readonly<Record<BackendName, (params: BackendParams) => Promise<OpenBackend>>> = {
  webgpu: openWebgpu,
  wasm: openWasm,
  cpu: openCpu,
};

async function openWebgpu({ cacheDir }: BackendParams): Promise<OpenBackend> {
  const adapter = await registerWebgpu(cacheDir);
  await activate('webgpu');
  return {
    name: 'webgpu',
    summary: `webgpu on ${adapter.label}`,
    device: adapter.software ? 'cpu' : 'gpu',
    takeFault: watchDevice(tf.backend()),
  };
}

async function openWasm(): Promise<OpenBackend> {
  const wasm = await import('@tensorflow/tfjs-backend-wasm');
  wasm.setWasmPaths(resolveWasmFolder());
  await withoutNewListeners(() => activate('wasm'));
  registerWasmKernels();
  const simd = await tf.env().getAsync('WASM_HAS_SIMD_SUPPORT');
  // tfjs has no threads in Node (tensorflow/tfjs#3830).
  return { name: 'wasm', summary: `wasm ${simd ? 'with' : 'without'} SIMD, 1 thread`, device: 'cpu', takeFault: noFault };
}

async function openCpu(): Promise<OpenBackend> {
  await import('@tensorflow/tfjs-backend-cpu');
  await activate('cpu');
  return { name: 'cpu', summary: 'plain JavaScript (slow)', device: 'cpu', takeFault: noFault };
}

async function activate(name: BackendName): Promise<void> {
  if (!(await tf.setBackend(name))) throw new EngineError(`tfjs could not start its ${name} backend: ${await reasonOfFailure(name)}`);
  await tf.ready();
}

/** Returns the reason. tfjs does not report it, so the backend is created once more to get the error. */
async function reasonOfFailure(name: BackendName): Promise<string> {
  try {
    await tf.findBackendFactory(name)?.();
    return 'no reason was given';
  } catch (error) {
    return isRecord(error) && typeof error.message === 'string' ? error.message : String(error);
  }
}

/**
 * Removes the listeners that `work` adds: the wasm loader rethrows every unhandled rejection of the process, which the process itself
 * should handle.
 */
async function withoutNewListeners(work: () => Promise<void>): Promise<void> {
  const before = (['uncaughtException', 'unhandledRejection'] as const).map(event => ({
    event,
    known: new Set(process.rawListeners(event)),
  }));
  try {
    await work();
  } finally {
    for (const { event, known } of before)
      for (const listener of process.rawListeners(event)) {
        // Node types every listener as a Function.
        if (!known.has(listener)) process.removeListener(event, listener as (...args: unknown[]) => void);
      }
  }
}
