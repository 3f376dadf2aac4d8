/** Names of factors of parameters (`target_parameters`): PEFT wraps a module once per parameter; the first one is the innermost. */

export interface ParameterNames {
  /** Maps our names to PEFT's, for all tensors. Factors of a parameter are named after it, factors of a matrix after its module. */
  readonly names: ReadonlyMap<string, string>;
  /** The parameters with factors, by our names. */
  readonly parameters: ReadonlySet<string>;
  /** Those parameters with three axes, which hold the weights of all experts. */
  readonly stacks: ReadonlySet<string>;
}

/** The parameters of experts, in the order in which Transformers declares them. */
const STACKED = ['gate_up_proj', 'up_proj', 'down_proj'] as const;
const MATRIX = 'weight';
const EXPERTS = 'experts';

/**
 * @param plain maps names that treat every wrapper as a module to PEFT's
 * @param targets `target_parameters` of the config
 * @param problems receives names that cannot be read
 */
export function parameterNames(plain: ReadonlyMap<string, string>, targets: readonly string[], problems: string[]): ParameterNames {
  const wanted = targets.map(target => {
    const end = target.lastIndexOf('.');
    return { module: target.slice(0, Math.max(0, end)), parameter: target.slice(end + 1), target };
  });
  const unknown = wanted.filter(({ parameter }) => parameter !== MATRIX && !STACKED.some(each => each === parameter));
  for (const { target } of unknown)
    problems.push(`adapter_config.json: target_parameters: ${target} is not read; read are ${[...STACKED, MATRIX].join(', ')}`);
  const parsed = [...plain].map(([name, inFile]) => ({ name, inFile, ...partsOf(name) }));
  const depths = new Map<string, number>();
  for (const { path, depth } of parsed) if (path !== undefined) depths.set(path, Math.max(depth, depths.get(path) ?? 0));
  const names = new Map<string, string>();
  const [parameters, stacks] = [new Set<string>(), new Set<string>()];
  for (const { name, inFile, path, depth, end } of parsed) {
    const own = path === undefined ? [] : parametersOf(path, wanted);
    if (path === undefined || own.length === 0) {
      names.set(name, inFile);
      continue;
    }
    const parameter = own[(depths.get(path) ?? 0) - depth];
    if (own.length !== (depths.get(path) ?? 0) + 1 || parameter === undefined) {
      problems.push(`${inFile} belongs to none of target_parameters: ${own.join(', ')}`);
      continue;
    }
    const module = parameter === MATRIX ? path : `${path}.${parameter}`;
    names.set(`${module}.${end}`, inFile);
    parameters.add(module);
    if (parameter !== MATRIX) stacks.add(module);
  }
  return { names, parameters, stacks };
}

/** Splits `….experts.base_layer.lora_A.weight` into the module, its nesting depth, and the ending; other names have no module. */
function partsOf(name: string): { readonly path?: string; readonly depth: number; readonly end?: string } {
  const [, path, nested = '', end] = /^(.+?)((?:\.base_layer)*)\.(lora_[AB]\.weight)$/.exec(name) ?? [];
  return path === undefined || end === undefined ? { depth: 0 } : { path, depth: nested.split('.').length - 1, end };
}

/** The targeted parameters of a module, in the order in which it declares them. A target without a module belongs to experts. */
function parametersOf(path: string, wanted: readonly { readonly module: string; readonly parameter: string }[]): string[] {
  const own = new Set(
    wanted
      .filter(({ module }) => (module === '' ? path.endsWith(`.${EXPERTS}`) : path === module || path.endsWith(`.${module}`)))
      .map(({ parameter }) => parameter),
  );
  return [...STACKED, MATRIX].filter(parameter => own.has(parameter));
}
