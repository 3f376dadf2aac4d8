/** The programs that were compiled on this machine, for its own device or for a card, by engines that keep them. Opens no engine. */
import type { CardName } from '../catalog/cards.ts';
import { type DeviceCard, deviceCard } from '../catalog/device-card.ts';
import { paddedFor } from '../catalog/tpus.ts';
import type { KnownPrograms } from '../graph/known-programs.ts';
import type { EngineName } from './engine.ts';
import { openCardPrograms } from './pjrt/card-programs.ts';
import { openKnownPrograms } from './pjrt/compiled-memory.ts';
import { keptDeviceFacts } from './pjrt/device-facts.ts';

/** Returns the properties of this machine's GPU as reported by the plugin; undefined for a TPU. */
const gpuHere = (cacheDir: string): DeviceCard | undefined => {
  const facts = keptDeviceFacts(cacheDir);
  return facts && paddedFor(deviceCard(facts));
};

type Open = (cacheDir: string, card?: CardName) => KnownPrograms | undefined;

const keepers: Readonly<Partial<Record<EngineName, Open>>> = {
  pjrt: (cacheDir, card) => (card === undefined ? openKnownPrograms(cacheDir, gpuHere(cacheDir)) : openCardPrograms(cacheDir, card)),
};

/** Returns the programs; undefined for an engine that keeps none or has compiled none on this machine. */
export const knownPrograms: (engine: EngineName, ...of: Parameters<Open>) => KnownPrograms | undefined = (engine, ...of) =>
  keepers[engine]?.(...of);

export { programsChangedAt } from './pjrt/program-cache.ts';
