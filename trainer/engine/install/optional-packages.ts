/**
 * npm packages that are too large to ship with Rowtune: a command installs them into the cache folder, and they are imported from there.
 */
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { EngineError } from '../engine.ts';
import { enginesFolder } from './engine-folder.ts';
import { withInstallLock } from './install-lock.ts';
import type { InstallParams } from './install-tensorflow.ts';
import { runCommand } from './run-command.ts';
import { findNpm } from './toolchain.ts';

export interface OptionalPackages {
  /** Name of the folder, including the version. */
  readonly name: string;
  /** Package → exact version. */
  readonly packages: Readonly<Record<string, string>>;
  /** Additional options of `npm install`. */
  readonly npmOptions?: readonly string[];
  /** The last step in the folder, after npm; idempotent. */
  readonly finish?: (folder: string) => void;
}

export const optionalFolder = (cacheDir: string, { name }: Pick<OptionalPackages, 'name'>): string =>
  path.join(enginesFolder(cacheDir), name);

/** Returns the URL of a package to import. @throws Error if it is not installed */
export const installedPackage = (cacheDir: string, set: Pick<OptionalPackages, 'name'>, packageName: string): string =>
  pathToFileURL(createRequire(path.join(optionalFolder(cacheDir, set), 'package.json')).resolve(packageName)).href;

/** A package of a set, and the cache folder in which the set may be installed. */
export interface OptionalPackage<Name extends string = string> {
  readonly set: Pick<OptionalPackages, 'name'>;
  readonly name: Name;
  readonly cacheDir?: string | undefined;
}

/**
 * Imports a package that may be next to Rowtune, where `load` finds it, or in the cache folder.
 * @throws the error of `load` if it is in neither place
 */
export async function importOptional<T>({ set, name, cacheDir }: OptionalPackage, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    if (cacheDir === undefined || !existsSync(optionalFolder(cacheDir, set))) throw error;
    // The same package as in `load`, in the version that this program names.
    return (await import(installedPackage(cacheDir, set, name))) as T;
  }
}

/**
 * Installs into `<cacheDir>/engines/<name>/` and returns the folder; immediately if it is already installed.
 * @throws EngineError without npm, or with npm's own message
 */
export async function installOptional(
  set: OptionalPackages,
  { cacheDir, log, onProgress = () => {} }: Omit<InstallParams, 'variant'>,
): Promise<{ readonly name: string; readonly folder: string }> {
  mkdirSync(enginesFolder(cacheDir), { recursive: true });
  return withInstallLock(path.join(enginesFolder(cacheDir), '.install.lock'), log, async () => {
    const { name } = set;
    const folder = optionalFolder(cacheDir, set);
    if (existsSync(folder)) {
      set.finish?.(folder);
      log(`${name} is installed already in ${folder}`);
      return { name, folder };
    }
    const { program, prefix } = await findNpm();
    const partial = path.join(enginesFolder(cacheDir), `.${name}.partial`);
    rmSync(partial, { recursive: true, force: true });
    mkdirSync(partial);
    writeFileSync(path.join(partial, 'package.json'), '{ "private": true }\n');
    const packages = Object.entries(set.packages).map(([each, version]) => `${each}@${version}`);
    log(`installing ${packages.join(' and ')} with npm`);
    const options = ['--ignore-scripts', '--no-save', '--no-audit', '--no-fund', '--no-package-lock', '--omit=dev'];
    const result = await runCommand(program, [...prefix, 'install', ...options, ...(set.npmOptions ?? []), ...packages], {
      cwd: partial,
      onTick: elapsedSeconds => onProgress({ step: 'npm install', elapsedSeconds }),
    });
    if (result.status !== 0) throw new EngineError(`npm could not install ${packages.join(' and ')}:\n${result.output.trim()}`);
    set.finish?.(partial);
    renameSync(partial, folder);
    log(`installed ${name} in ${folder}`);
    return { name, folder };
  });
}
