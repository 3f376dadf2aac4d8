/** The package of ONNX Runtime: 288 MB with the binaries of all systems, so `rowtune engine install --with onnxruntime` gets it. */
import { existsSync } from 'node:fs';
import { type OptionalPackages, optionalFolder } from '../engine/install/optional-packages.ts';

const VERSION = '1.30.0';

const name = `onnxruntime-${VERSION}`;

/** Its binaries for the processor are in the package itself; only those for CUDA, which its install script would fetch from elsewhere, are not. */
export const onnxRuntimePackages: OptionalPackages = { name, packages: { 'onnxruntime-node': VERSION } };

export const onnxRuntimeName = name;

export const hasOnnxRuntime = (cacheDir: string): boolean => existsSync(optionalFolder(cacheDir, { name }));

export const INSTALL_ONNX_RUNTIME = 'rowtune engine install --with onnxruntime';
