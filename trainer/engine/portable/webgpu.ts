/** WebGPU in Node: Dawn from the npm package `webgpu`, set up to look like a browser before tfjs's backend loads. Optional at run time. */
import { elementAt } from '../../narrow.ts';
import { EngineError } from '../engine.ts';
import { importOptional } from '../install/optional-packages.ts';
import { type WebgpuPackage, webgpuPackages } from '../install/webgpu-packages.ts';

export interface Adapter {
  /** Name for users, for example "NVIDIA L4 (Ada Lovelace)". */
  readonly label: string;
  /** True if the CPU renders (lavapipe, SwiftShader): correct, but slower than wasm. */
  readonly software: boolean;
}

/** The part of WebGPU that is used here; tfjs uses the rest. */
interface Gpu {
  requestAdapter(options: { powerPreference: 'high-performance' }): Promise<{ info: AdapterInfo } | null>;
}

interface AdapterInfo {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  readonly isFallbackAdapter?: boolean;
}

const INSTALL = 'rowtune engine install --variant webgpu';
const SOFTWARE = /llvmpipe|lavapipe|swiftshader|software|basic render/i;

let installed: Promise<Gpu> | undefined;

/** Loads Dawn once per process. @throws EngineError if the packages are not installed, with the command that installs them */
function installGpu(cacheDir: string | undefined): Promise<Gpu> {
  installed ??= (async () => {
    const { create, globals } = await optional(() => import('webgpu'), 'webgpu', cacheDir);
    Object.assign(globalThis, globals);
    // WebGPU's types are part of the browser's, which this room does not include: `Gpu` declares what is used.
    const gpu = create([]) as unknown as Gpu;
    Object.defineProperty(globalThis, 'navigator', {
      value: { gpu, userAgent: `Node.js/${process.version}` },
      configurable: true,
      writable: true,
    });
    return gpu;
  })();
  return installed;
}

/** Finds an adapter. @throws EngineError if the packages are missing or the machine has no adapter at all */
export async function findAdapter(cacheDir?: string): Promise<Adapter> {
  const gpu = await installGpu(cacheDir);
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter)
    throw new EngineError('WebGPU finds no adapter: install a Vulkan driver (Debian, Ubuntu: apt-get install mesa-vulkan-drivers)');
  const { vendor, architecture, device, description, isFallbackAdapter } = adapter.info;
  const label = description || device || [vendor, architecture].filter(Boolean).join(' ') || 'an unnamed adapter';
  return { label, software: isFallbackAdapter === true || SOFTWARE.test(`${architecture} ${device} ${description}`) };
}

/** Registers the backend `webgpu` with tfjs. @throws EngineError as `findAdapter` does */
export async function registerWebgpu(cacheDir?: string): Promise<Adapter> {
  const adapter = await findAdapter(cacheDir);
  await optional<unknown>(() => import('@tensorflow/tfjs-backend-webgpu'), '@tensorflow/tfjs-backend-webgpu', cacheDir);
  return adapter;
}

/** The part of the GPU device inside tfjs's backend that is used here. */
interface WatchedDevice {
  addEventListener(type: 'uncapturederror', listener: (event: { error: { message: string } }) => void): void;
}

const hasDevice = (backend: object): backend is { readonly device: WatchedDevice } =>
  'device' in backend && backend.device instanceof Object && 'addEventListener' in backend.device;

const faults = new WeakMap<object, { first?: string }>();

/** Records the first error that the device reports. @returns a function that returns the error once */
export function watchDevice(backend: object): () => string | undefined {
  let noted = faults.get(backend);
  if (!noted) {
    const fresh: { first?: string } = {};
    if (!hasDevice(backend)) throw new EngineError('the backend of tfjs has no GPU device');
    backend.device.addEventListener('uncapturederror', ({ error }) => {
      fresh.first ??= error.message;
    });
    faults.set(backend, fresh);
    noted = fresh;
  }
  const state = noted;
  return () => {
    const { first } = state;
    state.first = undefined;
    return first;
  };
}

/** Imports a package from our own dependencies, otherwise from the cache folder. */
async function optional<T>(load: () => Promise<T>, name: WebgpuPackage, cacheDir: string | undefined): Promise<T> {
  try {
    return await importOptional({ set: webgpuPackages, name, cacheDir }, load);
  } catch (cause) {
    throw new EngineError(`the webgpu backend is not installed or does not load here (${reason(cause)}): run "${INSTALL}"`, { cause });
  }
}

const reason = (error: unknown): string => (error instanceof Error ? elementAt(error.message.split('\n'), 0) : String(error));
