/** Decides, in one place, which engine runs, from what was requested and what is installed. */

import { engineCatalog, engineChoiceNames, engineNames } from '../catalog/engines.ts';
import { orList } from '../catalog/entries.ts';
import { atLeast, required } from '../narrow.ts';
import { EngineError, type EngineName } from './engine.ts';
import { locateEngine } from './install/engine-folder.ts';
import { locatePjrt } from './install/pjrt-folder.ts';

export interface EngineRequest {
  /** The engine set in the recipe or on the command line. */
  readonly requested: 'auto' | EngineName;
  /** The value of ROWTUNE_ENGINE, if set; used only if `requested` is `auto`. */
  readonly fromEnvironment?: string;
  readonly cacheDir: string;
}

export interface EngineChoice {
  readonly name: EngineName;
  /** Message for the user if the engine is not the best one that this machine could have. */
  readonly warning?: string;
  /** The command that installs the better engine. */
  readonly remedy?: string;
}

interface Installation {
  isThere(cacheDir: string): boolean;
  readonly command: string;
}

/** Engines that must be installed; the others are part of Rowtune. */
const installations: Readonly<Partial<Record<EngineName, Installation>>> = {
  tensorflow: { isThere: cacheDir => locateEngine(cacheDir) !== undefined, command: 'rowtune engine install' },
  pjrt: { isThere: cacheDir => locatePjrt(cacheDir) !== undefined, command: 'rowtune engine install --variant pjrt' },
};

/** Returns whether an engine is installed, or needs no installation. */
export const isThere = (name: EngineName, cacheDir: string): boolean => installations[name]?.isThere(cacheDir) ?? true;

/**
 * Returns the engine to run. An engine requested by name is used or rejected; `auto` takes the best installed one, with a warning if a
 * better one is missing.
 * @throws EngineError if the named engine is not installed, or ROWTUNE_ENGINE is not the name of an engine
 */
export function chooseEngine({ requested, fromEnvironment, cacheDir }: EngineRequest): EngineChoice {
  const named = requested === 'auto' && fromEnvironment ? parseEngine(fromEnvironment) : requested;
  if (named !== 'auto') {
    if (isThere(named, cacheDir)) return { name: named };
    throw new EngineError(`the ${named} engine is not installed in ${cacheDir}; install it with: ${installations[named]?.command}`);
  }
  const [preferred, ...others] = atLeast(
    engineNames.filter(name => !engineCatalog[name].isOnRequest),
    1,
  );
  if (isThere(preferred, cacheDir)) return { name: preferred };
  const name = required(
    others.find(other => isThere(other, cacheDir)),
    'an engine that needs no installation',
  );
  return {
    name,
    warning: `${engineCatalog[preferred].label} is not installed, so the portable engine runs, which is several times slower on a CPU`,
    remedy: installations[preferred]?.command ?? '',
  };
}

function parseEngine(value: string): 'auto' | EngineName {
  const known = engineChoiceNames.find(name => name === value);
  if (known !== undefined) return known;
  throw new EngineError(`ROWTUNE_ENGINE is '${value}'; it can be ${orList(engineChoiceNames)}`);
}
