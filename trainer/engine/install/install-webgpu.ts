/** Installs what the portable engine needs to run on any GPU: two npm packages, into the cache folder. */
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { EngineError } from '../engine.ts';
import { enginesFolder } from './engine-folder.ts';
import { withInstallLock } from './install-lock.ts';
import type { InstallParams } from './install-tensorflow.ts';
import { runCommand } from './run-command.ts';
import { findNpm } from './toolchain.ts';
import { WEBGPU_PACKAGES, webgpuFolder, webgpuName } from './webgpu-folder.ts';

/**
 * Installs into `<cacheDir>/engines/webgpu-<version>/` and returns the folder; at once when it is there already.
 * @throws EngineError without npm, or with npm's own words
 */
export async function installWebgpu({
  cacheDir,
  log,
  onProgress = () => {},
}: Omit<InstallParams, 'variant'>): Promise<{ readonly name: string; readonly folder: string }> {
  mkdirSync(enginesFolder(cacheDir), { recursive: true });
  return withInstallLock(path.join(enginesFolder(cacheDir), '.install.lock'), log, async () => {
    const folder = webgpuFolder(cacheDir);
    if (existsSync(folder)) {
      log(`${webgpuName} is installed already in ${folder}`);
      return { name: webgpuName, folder };
    }
    const { program, prefix } = await findNpm();
    const partial = path.join(enginesFolder(cacheDir), `.${webgpuName}.partial`);
    rmSync(partial, { recursive: true, force: true });
    mkdirSync(partial);
    writeFileSync(path.join(partial, 'package.json'), '{ "private": true }\n');
    const packages = Object.entries(WEBGPU_PACKAGES).map(([name, version]) => `${name}@${version}`);
    log(`installing ${packages.join(' and ')} with npm`);
    const options = ['--ignore-scripts', '--no-save', '--no-audit', '--no-fund', '--no-package-lock', '--omit=dev'];
    const result = await runCommand(program, [...prefix, 'install', ...options, ...packages], {
      cwd: partial,
      onTick: elapsedSeconds => onProgress({ step: 'npm install', elapsedSeconds }),
    });
    if (result.status !== 0) throw new EngineError(`npm could not install ${packages.join(' and ')}:\n${result.output.trim()}`);
    renameSync(partial, folder);
    log(`installed ${webgpuName} in ${folder}`);
    return { name: webgpuName, folder };
  });
}
