/** The programs that runs on this machine have left compiled, of engines that keep them. No engine is opened. */
import type { KnownPrograms } from '../graph/known-programs.ts';
import type { EngineName } from './engine.ts';
import { openKnownPrograms } from './pjrt/compiled-memory.ts';

const keepers: Readonly<Partial<Record<EngineName, (cacheDir: string) => KnownPrograms | undefined>>> = { pjrt: openKnownPrograms };

/** Undefined for an engine that keeps none, and where none has run on this machine. */
export const knownPrograms = (engine: EngineName, cacheDir: string): KnownPrograms | undefined => keepers[engine]?.(cacheDir);

export { programsChangedAt } from './pjrt/program-cache.ts';
