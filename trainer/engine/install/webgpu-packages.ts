/**
 * The WebGPU packages: next to Rowtune if npm installed them there, otherwise in the cache folder, where `rowtune engine install` puts
 * them.
 */
import type { OptionalPackages } from './optional-packages.ts';

/** Dawn for Node, and the tfjs backend that runs on it. */
const packages = { webgpu: '0.6.2', '@tensorflow/tfjs-backend-webgpu': '4.22.0' } as const;

export type WebgpuPackage = keyof typeof packages;

export const webgpuPackages = { name: `webgpu-${packages.webgpu}`, packages } as const satisfies OptionalPackages;
