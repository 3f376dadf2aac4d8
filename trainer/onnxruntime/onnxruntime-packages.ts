/** The package of ONNX Runtime: with the binaries of all systems, so `rowtune engine install --with onnxruntime` gets it. */
import { existsSync } from 'node:fs';
import { toolCommand } from '../catalog/tools.ts';
import { EngineError } from '../engine/engine.ts';
import { type OptionalPackages, optionalFolder } from '../engine/install/optional-packages.ts';

const VERSION = '1.30.0';

/** The systems whose binaries for the processor are in the package; its install script, which is not run, fetches those for CUDA from elsewhere. */
const SYSTEMS: ReadonlySet<string> = new Set(['linux x64', 'linux arm64', 'darwin arm64', 'win32 x64', 'win32 arm64']);

export const onnxRuntimeName = `onnxruntime-${VERSION}`;

export const hasOnnxRuntime = (cacheDir: string): boolean => existsSync(optionalFolder(cacheDir, { name: onnxRuntimeName }));

export const INSTALL_ONNX_RUNTIME = toolCommand('onnxruntime');

/** @throws EngineError on a system that has no compiled binary */
export function onnxRuntimePackages(platform: string = process.platform, arch: string = process.arch): OptionalPackages {
  if (!SYSTEMS.has(`${platform} ${arch}`))
    throw new EngineError(
      `onnxruntime-node has no compiled binary for ${platform} ${arch}: exports to ONNX are not compared with ONNX Runtime here`,
    );
  return { name: onnxRuntimeName, packages: { 'onnxruntime-node': VERSION } };
}
