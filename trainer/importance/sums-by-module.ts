/** Variables that accumulate a value for each weight over passes over the data. Pure. */
import type { VariableSpec } from '../graph/graph.ts';
import type { ModuleSpec } from '../model/module-specs.ts';

/**
 * The variable for each module of a sweep, in the shape of its weight. Sweeps share the variables, since blocks have the same shapes.
 * @param what is accumulated; part of the names
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
