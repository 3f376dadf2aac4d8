/** The engines that this machine can run, in addition to the reference. Each that it cannot run is named with its reason. */
import type { Engine } from '../../trainer/engine/engine.ts';
import { openEngine } from '../../trainer/engine/open-engine.ts';
import { openPortable } from '../../trainer/engine/portable/engine.ts';
import { cacheDir } from './cache-dir.ts';
import { describeWith } from './describe-with.ts';

export interface EngineUnderTest {
  readonly name: string;
  readonly engine?: Engine;
  /** Why it does not run here. */
  readonly missing?: string;
}

/** The slow obvious interpreter that every other engine is compared with. */
export const openReference = (): Promise<Engine> => openPortable({ backend: 'cpu' });

/** The portable engine as most machines run it, several times as fast as the reference: for tests whose subject is not the engine. */
export const openFast = (): Promise<Engine> => openPortable({ backend: 'wasm' });

export const openOthers = async (): Promise<EngineUnderTest[]> => [
  // It comes with Rowtune, and runs everywhere.
  { name: 'portable, wasm', engine: await openFast() },
  await attempt('tensorflow', () => openEngine('tensorflow', { cacheDir })),
];

const PJRT = 'pjrt';

/** The cases to run on an engine. On PJRT they are few, since compiling each takes seconds; all of them with ROWTUNE_TEST_PJRT=all. */
export const casesOn = <T>(engineName: string, all: readonly T[], isAmongFew: (one: T) => boolean): readonly T[] =>
  engineName === PJRT && process.env.ROWTUNE_TEST_PJRT !== 'all' ? all.filter(isAmongFew) : all;

/** The others and the PJRT engine, which takes a second of a processor or more to compile a program: for tests with few programs. */
export const openOthersAndPjrt = async (): Promise<EngineUnderTest[]> => [
  ...(await openOthers()),
  await attempt(PJRT, () => openEngine('pjrt', { cacheDir })),
];

/** The reference, the others and the PJRT engine. */
export const openAll = async (): Promise<EngineUnderTest[]> => [
  { name: 'portable, cpu', engine: await openReference() },
  ...(await openOthersAndPjrt()),
];

/** One engine of these, by its name. */
export const engineNamed = (engines: readonly EngineUnderTest[], wanted: string): EngineUnderTest =>
  engines.find(({ name }) => name === wanted) ?? { name: wanted, missing: 'it is not among the engines under test' };

/** Declares the tests of each engine in a suite of its own. An engine that does not run here is one skipped test, which says why. */
export function describeOn(engines: readonly EngineUnderTest[], declare: (engine: Engine, name: string) => void): void {
  for (const { name, engine, missing } of engines) describeWith(name, engine, missing, found => declare(found, name));
}

/** Opens an engine, or says why it does not run here. */
export async function attempt(name: string, open: () => Promise<Engine>): Promise<EngineUnderTest> {
  try {
    return { name, engine: await open() };
  } catch (error) {
    return { name, missing: error instanceof Error ? error.message : String(error) };
  }
}
