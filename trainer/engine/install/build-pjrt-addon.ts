/** Compiles the addon that uses PJRT plugins. */
import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import { EngineError } from '../engine.ts';
import { resolveAddonSources, sourcesIn } from './addon-sources.ts';
import { removeOldAddons } from './kernel-stamp.ts';
import { PJRT_ADDON_FLAGS, PJRT_ADDON_PREFIX, pjrtAddonPath } from './pjrt-folder.ts';
import { runCommand } from './run-command.ts';

/**
 * Builds the addon into the plugin's folder, or copies it from another plugin's: it is the same for all.
 * @throws EngineError with the compiler's output
 */
export async function buildPjrtAddon(folder: string, onTick: (elapsedSeconds: number) => void): Promise<void> {
  const output = pjrtAddonPath(folder);
  const addons = path.dirname(output);
  mkdirSync(addons, { recursive: true });
  const unfinished = `${output}.${process.pid}`;
  const other = siblingsOf(folder).map(pjrtAddonPath).find(existsSync);
  if (other === undefined) await compileAddon(unfinished, onTick);
  else copyFileSync(other, unfinished);
  renameSync(unfinished, output);
  removeOldAddons(addons, PJRT_ADDON_PREFIX);
}

const siblingsOf = (folder: string): string[] => readdirSync(path.dirname(folder)).map(name => path.join(path.dirname(folder), name));

async function compileAddon(output: string, onTick: (elapsedSeconds: number) => void): Promise<void> {
  const { pjrt, ranks, coder, nodeHeaders } = resolveAddonSources();
  const libraries = process.platform === 'linux' ? ['-ldl'] : [];
  const headers = [nodeHeaders, ranks, coder].flatMap(header => ['-I', header]);
  const args = [...PJRT_ADDON_FLAGS, ...headers, ...sourcesIn([pjrt, ranks, coder]), '-o', output, ...libraries];
  const result = await runCommand('g++', args, { onTick });
  if (result.status !== 0) throw new EngineError(`g++ could not compile the PJRT addon:\n${result.output.trim()}`);
}
