/** Where the packages of WebGPU lie: beside Rowtune where npm put them, else in the cache folder, where its own command puts them. */
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { enginesFolder } from './engine-folder.ts';

/** Dawn for Node, and the backend of tfjs that runs on it; too large for everybody's download. */
export const WEBGPU_PACKAGES = { webgpu: '0.6.2', '@tensorflow/tfjs-backend-webgpu': '4.22.0' } as const;

export type WebgpuPackage = keyof typeof WEBGPU_PACKAGES;

export const webgpuName = `webgpu-${WEBGPU_PACKAGES.webgpu}`;

export const webgpuFolder = (cacheDir: string): string => path.join(enginesFolder(cacheDir), webgpuName);

/** An address to import. @throws Error where it is not installed there */
export const installedWebgpu = (cacheDir: string, name: WebgpuPackage): string =>
  pathToFileURL(createRequire(path.join(webgpuFolder(cacheDir), 'package.json')).resolve(name)).href;
