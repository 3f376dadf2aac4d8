/** The engines that this machine can run, in addition to the reference. Engines that it cannot run are listed with the reason. */

import { memory } from '@tensorflow/tfjs-core';
import { type EngineName, engineCatalog, engineNames } from '../../trainer/catalog/engines.ts';
import type { Engine } from '../../trainer/engine/engine.ts';
import { openEngine } from '../../trainer/engine/open-engine.ts';
import type { PjrtEngine } from '../../trainer/engine/pjrt/engine.ts';
import { openPortable } from '../../trainer/engine/portable/engine.ts';
import { cacheDir } from './cache-dir.ts';
import { describeWith } from './describe-with.ts';

/** Properties of an engine that tests depend on. */
interface EngineTraits {
  /** True if compiling a program takes at least a second of processor time; such engines get few cases. */
  readonly compilesSlowly?: true;
  /** True if a stopped run finishes the update that has started (`Session.runsAhead`). */
  readonly runsAhead?: true;
  /** Returns the number of live tensors, if tfjs does not count them. */
  readonly countTensors?: (engine: Engine) => number;
}

/** The properties by engine name. This is the only list of differences between engines in tests; engines without an entry have none. */
const traits: Readonly<Partial<Record<EngineName, EngineTraits>>> = {
  pjrt: {
    compilesSlowly: true,
    runsAhead: true,
    countTensors: engine => {
      // `openPjrt` opens this entry of the catalog.
      const { addon, client } = (engine as PjrtEngine).device;
      return addon.alive(client).buffers;
    },
  },
};

export interface EngineUnderTest {
  /** The name in the catalog, or a backend of the portable engine. */
  readonly name: string;
  readonly engine?: Engine;
  /** Why the engine does not run here. */
  readonly missing?: string;
}

/** Opens the slow, obvious interpreter that every other engine is compared with. */
export const openReference = (): Promise<Engine> => openPortable({ backend: 'cpu' });

/**
 * Opens the portable engine as most machines run it. It is several times as fast as the reference, for tests of something other than
 * engines.
 */
export const openFast = (): Promise<Engine> => openPortable({ backend: 'wasm' });

/** Opens an engine of the catalog. A built-in engine runs everywhere, so it must open. */
const openNamed = async (name: EngineName): Promise<EngineUnderTest> =>
  engineCatalog[name].isBuiltIn
    ? { name: 'portable, wasm', engine: await openFast() }
    : attempt(name, () => openEngine(name, { cacheDir }));

/** Engine names with the built-in ones first, which run everywhere. */
const inOrder = [...engineNames].sort((a, b) => Number(engineCatalog[b].isBuiltIn) - Number(engineCatalog[a].isBuiltIn));

const openThose = (names: readonly EngineName[]): Promise<EngineUnderTest[]> => Promise.all(names.map(openNamed));

/** Opens the engines that compile quickly. */
export const openOthers = (): Promise<EngineUnderTest[]> => openThose(inOrder.filter(name => !traits[name]?.compilesSlowly));

/** Opens the fastest engine that compiles quickly, for trainings of a few updates that do not test the engine itself. */
export async function openToTrain(): Promise<Engine> {
  return fastestOf(await openOthers())?.engine ?? openReference();
}

/** Opens all engines except the reference, for tests with few programs or with {@link casesOn}. */
export const openAllOthers = (): Promise<EngineUnderTest[]> => openThose(inOrder);

/** Opens the reference and all other engines. */
export const openAll = async (): Promise<EngineUnderTest[]> => [
  { name: 'portable, cpu', engine: await openReference() },
  ...(await openAllOthers()),
];

/** An engine of the catalog for tests of whole jobs, whose recipes name it. `missing` says why it does not run here. */
export interface NamedEngine extends Pick<EngineTraits, 'runsAhead'> {
  readonly name: EngineName;
  readonly missing?: string | undefined;
}

export const listEngines = (): Promise<NamedEngine[]> =>
  Promise.all(inOrder.map(async name => ({ name, missing: (await openNamed(name)).missing, runsAhead: traits[name]?.runsAhead })));

const compilesSlowly = (engineName: string): boolean => engineNames.some(name => name === engineName && traits[name]?.compilesSlowly);

/** Returns the cases to run on an engine: few if each takes seconds to compile, and all of them with ROWTUNE_TEST_PJRT=all. */
export const casesOn = <T>(engineName: string, all: readonly T[], isAmongFew: (one: T) => boolean): readonly T[] =>
  compilesSlowly(engineName) && process.env.ROWTUNE_TEST_PJRT !== 'all' ? all.filter(isAmongFew) : all;

/** Returns the fastest engine that compiles quickly and runs here: engines are listed from the slowest on. */
const fastestOf = (engines: readonly EngineUnderTest[]): EngineUnderTest | undefined =>
  engines.findLast(({ name, engine }) => engine !== undefined && !compilesSlowly(name));

/**
 * Returns the cases to run on one of several engines for a law about programs rather than about what an engine computes: all on the fastest,
 * few on the others.
 */
export const casesOnFastest = <T>(
  engines: readonly EngineUnderTest[],
  engineName: string,
  all: readonly T[],
  isAmongFew: (one: T) => boolean,
): readonly T[] => (process.env.ROWTUNE_TEST_PJRT === 'all' || fastestOf(engines)?.name === engineName ? all : all.filter(isAmongFew));

/** Returns the number of live tensors in an engine and in tfjs. */
export const tensorsAlive = (engine: Engine): number =>
  memory().numTensors + (traits[engine.description.name]?.countTensors?.(engine) ?? 0);

/** Returns the engine with this name. */
export const engineNamed = (engines: readonly EngineUnderTest[], wanted: string): EngineUnderTest =>
  engines.find(({ name }) => name === wanted) ?? { name: wanted, missing: 'it is not among the engines under test' };

/** Declares the tests of each engine in a separate suite. An engine that does not run here becomes one skipped test with the reason. */
export function describeOn(engines: readonly EngineUnderTest[], declare: (engine: Engine, name: string) => void): void {
  for (const { name, engine, missing } of engines) describeWith(name, engine, missing, found => declare(found, name));
}

/** Opens an engine, or returns why it does not run here. */
export async function attempt(name: string, open: () => Promise<Engine>): Promise<EngineUnderTest> {
  try {
    return { name, engine: await open() };
  } catch (error) {
    return { name, missing: error instanceof Error ? error.message : String(error) };
  }
}
