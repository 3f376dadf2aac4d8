/** The package that decodes images: next to Rowtune in a clone, otherwise in the cache folder, where `rowtune engine install` puts it. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import manifest from '../../../package.json' with { type: 'json' };
import { toolCatalog, toolCommand } from '../../catalog/tools.ts';
import { messageOf } from '../../protocol/error-facts.ts';
import { EngineError } from '../engine.ts';
import type { InstallParams } from './install-tensorflow.ts';
import { importOptional, installOptional, type OptionalPackages } from './optional-packages.ts';

const VERSION = manifest.dependencies.sharp;

type Sharp = typeof import('sharp').default;

export const imagePackages = {
  name: `sharp-${VERSION}`,
  packages: { sharp: VERSION },
  finish: requireLoads,
} as const satisfies OptionalPackages;

/** Returns sharp. @throws Error if it is missing or does not load */
export async function importSharp(cacheDir: string): Promise<Sharp> {
  const { default: sharp } = await importOptional({ set: imagePackages, name: 'sharp', cacheDir }, async () => {
    const found = await import('sharp');
    const { sharp: version } = found.default.versions;
    // A folder above the extension, such as the home folder, may have packages of its own.
    if (version !== VERSION) throw new Error(`found sharp ${version}; version ${VERSION} is needed`);
    return found;
  });
  return sharp;
}

/** Installs sharp unless it loads already. Without it, everything but images works, so a failure is only reported. */
export async function addImages(params: Omit<InstallParams, 'variant'>): Promise<void> {
  const { cacheDir, log } = params;
  if (await importSharp(cacheDir).catch(() => undefined)) return;
  log(`the library that decodes images is missing and is installed too (${toolCatalog.images.megabytes} MB)`);
  try {
    await installOptional(imagePackages, params);
  } catch (error) {
    log(`the engine is installed, but images cannot be decoded. To try again, run "${toolCommand('images')}". ${messageOf(error)}`);
  }
}

/**
 * Loads sharp in another process, which holds no file open in this one. Its binary is an optional dependency, and npm reports success if it
 * cannot download that. @throws EngineError if it does not load
 */
function requireLoads(folder: string): void {
  const { status, stderr, error } = spawnSync(process.execPath, ['-e', "require('sharp')"], { cwd: folder, encoding: 'utf8' });
  if (status === 0) return;
  const reason = error?.message ?? /^Error: (.*)$/m.exec(stderr)?.[1] ?? stderr.trim().split('\n').at(-1);
  const isUnfinished = path.basename(folder) !== imagePackages.name;
  const remedy = isUnfinished ? 'Try again' : `Remove it with "rowtune engine remove ${imagePackages.name}", and install it again`;
  throw new EngineError(`${imagePackages.name} does not load here (${reason}). ${remedy}.`);
}
