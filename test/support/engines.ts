/** The engines that this machine can run, in addition to the reference. Each that it cannot run is named with its reason. */
import type { Engine } from '../../trainer/engine/engine.ts';
import { openEngine } from '../../trainer/engine/open-engine.ts';
import { openPortable } from '../../trainer/engine/portable/engine.ts';
import { cacheDir } from './cache-dir.ts';

export interface EngineUnderTest {
  readonly name: string;
  readonly engine?: Engine;
  /** Why it does not run here. */
  readonly missing?: string;
}

/** The slow obvious interpreter that every other engine is compared with. */
export const openReference = (): Promise<Engine> => openPortable({ backend: 'cpu' });

export const openOthers = (): Promise<EngineUnderTest[]> =>
  Promise.all([
    attempt('portable, wasm', () => openPortable({ backend: 'wasm' })),
    attempt('tensorflow', () => openEngine('tensorflow', { cacheDir })),
    attempt('pjrt', () => openEngine('pjrt', { cacheDir })),
  ]);

async function attempt(name: string, open: () => Promise<Engine>): Promise<EngineUnderTest> {
  try {
    return { name, engine: await open() };
  } catch (error) {
    return { name, missing: error instanceof Error ? error.message : String(error) };
  }
}
