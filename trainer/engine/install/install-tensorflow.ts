/** Installs the TensorFlow engine: libtensorflow from the Python wheel, and the addon compiled against it; then loads and tests both. */

import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { isRecord } from '../../narrow.ts';
import { EngineError } from '../engine.ts';
import { inheritedEnvironment } from '../inherited-environment.ts';
import { workerEnvironment } from '../tensorflow/environment.ts';
import { addonHeaders, buildAddon, buildKernels, runtimeFolder } from './build-addon.ts';
import {
  ADDON_PACKAGE,
  ADDON_VERSION,
  addonPath,
  type EngineManifest,
  engineName,
  enginesFolder,
  type InstalledEngine,
  isWheels,
  MANIFEST_FORMAT,
  partialFolder,
  readManifest,
  TENSORFLOW_VERSION,
  type Variant,
} from './engine-folder.ts';
import { withInstallLock } from './install-lock.ts';
import { kernelsAreCurrent } from './kernel-stamp.ts';
import { runCommand } from './run-command.ts';
import { findNvidiaGpu, requireCompiler, requirePlatform, requirePython } from './toolchain.ts';
import { fetchWheel, type Progress, sha256OfFile, type WheelContext } from './wheel.ts';

export interface InstallParams {
  readonly cacheDir: string;
  readonly variant: 'auto' | Variant;
  /** Receives one line for the user at the start of each step. */
  readonly log: (line: string) => void;
  /** Called at least once a second during long steps. */
  readonly onProgress?: (progress: Progress) => void;
}

/**
 * Installs into `<cacheDir>/engines/tensorflow-<version>-<variant>/` and returns the engine; immediately if it is already installed. An
 * interrupted installation continues where it stopped. `auto` takes the CUDA build if an NVIDIA GPU is found.
 * @throws EngineError if a tool is missing, a download fails, or the result does not compute
 */
export async function installTensorflow({ cacheDir, variant, log, onProgress = () => {} }: InstallParams): Promise<InstalledEngine> {
  requirePlatform();
  const gpu = variant === 'auto' ? await findNvidiaGpu() : undefined;
  const chosen: Variant = variant === 'auto' ? (gpu ? 'cuda' : 'cpu') : variant;
  if (variant === 'auto')
    log(gpu ? `found ${gpu.name} (driver ${gpu.driver}): taking the CUDA build` : 'no NVIDIA GPU found: taking the CPU build');
  mkdirSync(enginesFolder(cacheDir), { recursive: true });
  return withInstallLock(path.join(enginesFolder(cacheDir), '.install.lock'), log, async () => {
    const folder = path.join(enginesFolder(cacheDir), engineName(chosen));
    const present = readManifest(folder);
    if (present && existsSync(addonPath(folder))) {
      log(`${engineName(chosen)} is installed already in ${folder}`);
      await refreshKernels(folder, { log, onProgress });
      return { name: engineName(chosen), folder, manifest: present };
    }
    const partial = partialFolder(cacheDir, chosen);
    if (existsSync(partial)) log('continuing an interrupted installation');
    mkdirSync(partial, { recursive: true });
    const manifest = await build({ partial, variant: chosen, downloads: path.join(cacheDir, 'downloads'), log, onProgress });
    writeFileSync(path.join(partial, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
    // Removed only now: a continued attempt compiles again and needs the headers.
    rmSync(path.join(runtimeFolder(partial), 'tensorflow', 'include'), { recursive: true, force: true });
    rmSync(folder, { recursive: true, force: true });
    renameSync(partial, folder);
    rmSync(path.join(cacheDir, 'downloads'), { recursive: true, force: true });
    log(`installed ${engineName(chosen)} in ${folder}`);
    return { name: engineName(chosen), folder, manifest };
  });
}

/** Recompiles the kernels of an installed engine if they are for another version or another CPU; the engine also runs without them. */
async function refreshKernels(folder: string, { log, onProgress }: Pick<BuildParams, 'log' | 'onProgress'>): Promise<void> {
  if (kernelsAreCurrent(folder)) return;
  try {
    log(`compiling the kernels of fused steps for this processor with ${await requireCompiler()} (10 seconds to a minute)`);
    await buildKernels(folder, elapsedSeconds => onProgress({ step: 'compile', elapsedSeconds }));
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    log(`warning: steps will not be fused, so that training takes longer: ${error.message}`);
  }
}

interface BuildParams {
  readonly partial: string;
  readonly variant: Variant;
  readonly downloads: string;
  readonly log: (line: string) => void;
  readonly onProgress: (progress: Progress) => void;
}

async function build({ partial, variant, downloads, log, onProgress }: BuildParams): Promise<EngineManifest> {
  const python = await requirePython();
  log(`compiling with ${await requireCompiler()}`);
  const done = new StepNotes(path.join(partial, 'steps.json'));
  const tick = (step: string) => (elapsedSeconds: number) => onProgress({ step, elapsedSeconds });

  const wheels = await done.once('wheels', isWheels, () => fetchWheels({ python, downloads, log, onProgress }, partial, variant));
  log('compiling the addon (about 20 seconds)');
  await buildAddon(partial, tick('compile'));
  await refreshKernels(partial, { log, onProgress });
  log('loading it and multiplying two matrices');
  await verifyAddon(partial, tick('verify'));
  return {
    format: MANIFEST_FORMAT,
    tensorflow: TENSORFLOW_VERSION,
    addonPackage: `${ADDON_PACKAGE}@${ADDON_VERSION}`,
    variant,
    wheels,
    addonSha256: await sha256OfFile(addonPath(partial)),
    installedAt: new Date().toISOString(),
  };
}

/** The finished steps of an installation and their results, kept in a file so that the next attempt continues from there. */
class StepNotes {
  private readonly file: string;
  private readonly notes: Record<string, unknown>;

  constructor(file: string) {
    this.file = file;
    this.notes = existsSync(file) ? readNotes(file) : {};
  }

  /** Runs a step unless it is already finished. @param isResult checks whether the file holds a result of this step */
  async once<Result>(step: string, isResult: (note: unknown) => note is Result, work: () => Promise<Result>): Promise<Result> {
    const noted = this.notes[step];
    if (isResult(noted)) return noted;
    const result = await work();
    this.notes[step] = result;
    writeFileSync(this.file, JSON.stringify(this.notes));
    return result;
  }
}

function readNotes(file: string): Record<string, unknown> {
  try {
    const notes: unknown = JSON.parse(readFileSync(file, 'utf8'));
    return isRecord(notes) ? notes : {};
  } catch {
    return {}; // truncated while it was written: repeat the steps
  }
}

/**
 * Downloads the TensorFlow wheel, and for CUDA the NVIDIA libraries that it lists. PyPI has no `tensorflow-cpu` for arm64; its `tensorflow`
 * is equivalent.
 */
async function fetchWheels(context: WheelContext, folder: string, variant: Variant): Promise<EngineManifest['wheels']> {
  const project = variant === 'cpu' && process.arch === 'x64' ? 'tensorflow-cpu' : 'tensorflow';
  const target = runtimeFolder(folder);
  const main = await fetchWheel(context, `${project}==${TENSORFLOW_VERSION}`, target, 'tensorflow', addonHeaders());
  const files = [main.wheel];
  if (variant === 'cuda')
    for (const requirement of main.cudaRequirements) files.push((await fetchWheel(context, requirement, target, 'nvidia', [])).wheel);
  return Promise.all(files.map(async file => ({ name: path.basename(file), sha256: await sha256OfFile(file) })));
}

/** Loads the addon in a separate process, which a broken one would crash, and checks [[1, 2], [3, 4]]·[[5, 6], [7, 8]]. */
async function verifyAddon(folder: string, onTick: (elapsedSeconds: number) => void): Promise<void> {
  const script = `
    const b = require(${JSON.stringify(addonPath(folder))});
    const tensor = values => b.createTensor([2, 2], b.TF_FLOAT, Float32Array.from(values));
    const attrs = [
      { name: 'T', type: b.TF_ATTR_TYPE, value: b.TF_FLOAT },
      { name: 'transpose_a', type: b.TF_ATTR_BOOL, value: false },
      { name: 'transpose_b', type: b.TF_ATTR_BOOL, value: false },
    ];
    const [product] = b.executeOp('MatMul', attrs, [tensor([1, 2, 3, 4]), tensor([5, 6, 7, 8])], 1);
    const got = Array.from(b.tensorDataSync(product.id)).join();
    if (got !== '19,22,43,50') throw new Error('the product is ' + got);
    console.log('TensorFlow ' + b.TF_Version);`;
  const result = await runCommand(process.execPath, ['-e', script], {
    environment: { ...inheritedEnvironment(process.env).env, ...workerEnvironment({ threads: 1 }) },
    onTick,
  });
  if (result.status !== 0) throw new EngineError(`the engine was built but does not work:\n${result.output.trim()}`);
}
