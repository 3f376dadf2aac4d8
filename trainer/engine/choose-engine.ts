/** Decides which engine runs, once, from what was asked for and what is installed. */

import { engineCatalog, engineChoiceNames } from '../catalog/engines.ts';
import { orList } from '../catalog/entries.ts';
import { EngineError, type EngineName } from './engine.ts';
import { locateEngine } from './install/engine-folder.ts';

export interface EngineRequest {
  /** From the recipe or the command line. */
  readonly requested: 'auto' | EngineName;
  /** The value of ROWTUNE_ENGINE, if it is set; it counts where `requested` is `auto`. */
  readonly fromEnvironment?: string;
  readonly cacheDir: string;
}

export interface EngineChoice {
  readonly name: EngineName;
  /** To be shown to the user: the engine is not the best one this machine could have. */
  readonly warning?: string;
}

/**
 * An explicit request is met or refused; `auto` takes TensorFlow where it is installed, and otherwise falls back to portable and says so.
 * @throws EngineError when what was asked for is not installed, or ROWTUNE_ENGINE names no engine
 */
export function chooseEngine({ requested, fromEnvironment, cacheDir }: EngineRequest): EngineChoice {
  const preferred = requested === 'auto' && fromEnvironment ? parseEngine(fromEnvironment) : requested;
  if (preferred !== 'auto' && engineCatalog[preferred].isBuiltIn) return { name: preferred };
  if (locateEngine(cacheDir)) return { name: 'tensorflow' };
  if (preferred === 'tensorflow')
    throw new EngineError(`the tensorflow engine was asked for and is not installed in ${cacheDir}; run: rowtune engine install`);
  return {
    name: 'portable',
    warning:
      'TensorFlow is not installed, so the portable engine runs, which is several times slower on a CPU. To install it: rowtune engine install',
  };
}

function parseEngine(value: string): 'auto' | EngineName {
  const known = engineChoiceNames.find(name => name === value);
  if (known !== undefined) return known;
  throw new EngineError(`ROWTUNE_ENGINE is '${value}'; it can be ${orList(engineChoiceNames)}`);
}
