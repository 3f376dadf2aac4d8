/** Variables in which passes over the data add up what they find of each weight. Pure. */
import type { VariableSpec } from '../graph/graph.ts';
import type { ModuleSpec } from '../model/module-specs.ts';

/**
 * The variable of each module of a sweep, of the shape of its weight; sweeps share the variables, since blocks are alike.
 * @param what what is added up: part of the names
 */
export function sumsByModule(what: string, sweep: readonly ModuleSpec[]): Map<ModuleSpec, VariableSpec> {
  const used = new Map<string, number>();
  return new Map(
    sweep.map(module => {
      const shape = module.weight.shape.join('x');
      const count = used.get(shape) ?? 0;
      used.set(shape, count + 1);
      return [module, { name: `${what} ${shape} ${count}`, shape: module.weight.shape, dtype: 'float32' }];
    }),
  );
}
