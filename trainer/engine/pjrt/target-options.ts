/** The compile options for a device that is not present. */
import { isTpu, type TargetName } from '../../catalog/tpus.ts';
import { type CompiledModule, cardCompileOptions, compileOptions } from './compile-options.ts';

/** Returns the options: those of a run, without what has to be tried on a card. libtpu has none of XLA's flags for GPUs. */
export const targetCompileOptions = (name: TargetName, module: CompiledModule): Uint8Array =>
  isTpu(name) ? compileOptions(module, {}) : cardCompileOptions(module);
