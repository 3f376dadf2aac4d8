/** Compiles the addon that uses PJRT plugins. */
import { mkdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import { EngineError } from '../engine.ts';
import { resolveAddonSources, sourcesIn } from './addon-sources.ts';
import { removeOldAddons } from './kernel-stamp.ts';
import { PJRT_ADDON_FLAGS, PJRT_ADDON_PREFIX, pjrtAddonPath } from './pjrt-folder.ts';
import { runCommand } from './run-command.ts';

/** Builds the addon into the plugin's folder. @throws EngineError with the compiler's output */
export async function buildPjrtAddon(folder: string, onTick: (elapsedSeconds: number) => void): Promise<void> {
  const { pjrt, ranks, coder, nodeHeaders } = resolveAddonSources();
  const output = pjrtAddonPath(folder);
  const addons = path.dirname(output);
  mkdirSync(addons, { recursive: true });
  const unfinished = `${output}.${process.pid}`;
  const libraries = process.platform === 'linux' ? ['-ldl'] : [];
  const headers = [nodeHeaders, ranks, coder].flatMap(header => ['-I', header]);
  const args = [...PJRT_ADDON_FLAGS, ...headers, ...sourcesIn([pjrt, ranks, coder]), '-o', unfinished, ...libraries];
  const result = await runCommand('g++', args, { onTick });
  if (result.status !== 0) throw new EngineError(`g++ could not compile the PJRT addon:\n${result.output.trim()}`);
  renameSync(unfinished, output);
  removeOldAddons(addons, PJRT_ADDON_PREFIX);
}
