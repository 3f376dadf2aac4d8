/** The engines that this machine can run, in addition to the reference. Each that it cannot run is named with its reason. */

import { memory } from '@tensorflow/tfjs-core';
import { type EngineName, engineCatalog, engineNames } from '../../trainer/catalog/engines.ts';
import type { Engine } from '../../trainer/engine/engine.ts';
import { openEngine } from '../../trainer/engine/open-engine.ts';
import type { PjrtEngine } from '../../trainer/engine/pjrt/engine.ts';
import { openPortable } from '../../trainer/engine/portable/engine.ts';
import { cacheDir } from './cache-dir.ts';
import { describeWith } from './describe-with.ts';

/** Facts of an engine that tests depend on. */
interface EngineTraits {
  /** It takes a second of a processor or more to compile a program: tests give it few cases. */
  readonly compilesSlowly?: true;
  /** A run that is stopped finishes the update that has begun (`Session.runsAhead`). */
  readonly runsAhead?: true;
  /** The number of tensors that it holds now, where tfjs does not count them. */
  readonly countTensors?: (engine: Engine) => number;
}

/** The one list of what differs between engines in tests, by their names in the catalog; one without an entry is like most. */
const traits: Readonly<Partial<Record<EngineName, EngineTraits>>> = {
  pjrt: {
    compilesSlowly: true,
    runsAhead: true,
    countTensors: engine => {
      // The entry of the catalog that `openPjrt` opens.
      const { addon, client } = (engine as PjrtEngine).device;
      return addon.alive(client).buffers;
    },
  },
};

export interface EngineUnderTest {
  /** Its name in the catalog, or a backend of the portable engine. */
  readonly name: string;
  readonly engine?: Engine;
  /** Why it does not run here. */
  readonly missing?: string;
}

/** The slow obvious interpreter that every other engine is compared with. */
export const openReference = (): Promise<Engine> => openPortable({ backend: 'cpu' });

/** The portable engine as most machines run it, several times as fast as the reference: for tests whose subject is not the engine. */
export const openFast = (): Promise<Engine> => openPortable({ backend: 'wasm' });

/** An engine of the catalog. What comes with Rowtune runs everywhere, and has to open. */
const openNamed = async (name: EngineName): Promise<EngineUnderTest> =>
  engineCatalog[name].isBuiltIn
    ? { name: 'portable, wasm', engine: await openFast() }
    : attempt(name, () => openEngine(name, { cacheDir }));

/** Those that are built in first: they run everywhere. */
const inOrder = [...engineNames].sort((a, b) => Number(engineCatalog[b].isBuiltIn) - Number(engineCatalog[a].isBuiltIn));

const openThose = (names: readonly EngineName[]): Promise<EngineUnderTest[]> => Promise.all(names.map(openNamed));

/** The engines that start a program at once. */
export const openOthers = (): Promise<EngineUnderTest[]> => openThose(inOrder.filter(name => !traits[name]?.compilesSlowly));

/** All but the reference: for tests with few programs, or with {@link casesOn}. */
export const openAllOthers = (): Promise<EngineUnderTest[]> => openThose(inOrder);

/** The reference and all others. */
export const openAll = async (): Promise<EngineUnderTest[]> => [
  { name: 'portable, cpu', engine: await openReference() },
  ...(await openAllOthers()),
];

/** An engine of the catalog for tests of whole jobs, which name it in their recipes; `missing` says why it does not run here. */
export interface NamedEngine extends Pick<EngineTraits, 'runsAhead'> {
  readonly name: EngineName;
  readonly missing?: string | undefined;
}

export const listEngines = (): Promise<NamedEngine[]> =>
  Promise.all(inOrder.map(async name => ({ name, missing: (await openNamed(name)).missing, runsAhead: traits[name]?.runsAhead })));

/** The cases to run on an engine: few where compiling each takes seconds, and all of them with ROWTUNE_TEST_PJRT=all. */
export const casesOn = <T>(engineName: string, all: readonly T[], isAmongFew: (one: T) => boolean): readonly T[] =>
  engineNames.some(name => name === engineName && traits[name]?.compilesSlowly) && process.env.ROWTUNE_TEST_PJRT !== 'all'
    ? all.filter(isAmongFew)
    : all;

/** Tensors that are alive in an engine, and in tfjs. */
export const tensorsAlive = (engine: Engine): number =>
  memory().numTensors + (traits[engine.description.name]?.countTensors?.(engine) ?? 0);

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
