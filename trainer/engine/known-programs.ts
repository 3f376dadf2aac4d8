/** The programs that were compiled on this machine, for its own device or for a card, by engines that keep them. No engine is opened. */
import type { CardName } from '../catalog/cards.ts';
import type { KnownPrograms } from '../graph/known-programs.ts';
import type { EngineName } from './engine.ts';
import { openCardPrograms } from './pjrt/card-programs.ts';
import { openKnownPrograms } from './pjrt/compiled-memory.ts';

type Open = (cacheDir: string, card?: CardName) => KnownPrograms | undefined;

const keepers: Readonly<Partial<Record<EngineName, Open>>> = {
  pjrt: (cacheDir, card) => (card === undefined ? openKnownPrograms(cacheDir) : openCardPrograms(cacheDir, card)),
};

/** Undefined for an engine that keeps none, and where it has compiled none on this machine. */
export const knownPrograms: (engine: EngineName, ...of: Parameters<Open>) => KnownPrograms | undefined = (engine, ...of) =>
  keepers[engine]?.(...of);

export { programsChangedAt } from './pjrt/program-cache.ts';
