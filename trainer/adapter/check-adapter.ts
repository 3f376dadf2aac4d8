/** Does an adapter belong to this model? Everything in which they disagree, in one error. */
import { sameShape } from '../graph/types.ts';
import type { Model, ModuleSpec, ParameterSpec } from '../model/model-spec.ts';
import { type Adapter, type AdapterDescription, AdapterError, moduleOf } from './adapter.ts';

/** One tensor that an adapter of this description must hold. */
interface Expected {
  readonly name: string;
  readonly shape: readonly number[];
}

/**
 * Compares base fingerprint, modules, shapes and rows. An adapter of another tool has no fingerprint; the rest is checked.
 * @param fingerprint `TensorSource.fingerprint()` of the model's weights
 * @throws AdapterError that lists every mismatch
 */
export function checkAdapter(adapter: Adapter, model: Model, fingerprint: string): void {
  const problems = adapterMismatches(adapter, model, fingerprint);
  if (problems.length > 0)
    throw new AdapterError(
      adapter.dir,
      problems,
      `It was made for ${adapter.description.base.source || 'another model'}: give that model.`,
    );
}

/** Every mismatch as a sentence; empty means that it fits. */
export function adapterMismatches(
  { description, tensors }: Pick<Adapter, 'description' | 'tensors'>,
  model: Model,
  fingerprint: string,
): string[] {
  const problems: string[] = [];
  const { base } = description;
  if (base.fingerprint !== undefined && base.fingerprint !== fingerprint)
    problems.push(`was trained on weights with the fingerprint ${base.fingerprint.slice(0, 12)}…, these have ${fingerprint.slice(0, 12)}…`);
  const modules = new Map(model.modules.map(module => [module.name, module]));
  const expected = new Map<string, Expected>();
  for (const name of description.modules) {
    const module = modules.get(name);
    if (!module) problems.push(`tunes ${name}, which this ${model.family} does not have`);
    else for (const tensor of expectedTensors(description, module, problems)) expected.set(tensor.name, tensor);
  }
  for (const { name, shape } of expected.values()) {
    const found = tensors.get(name);
    if (!found) problems.push(`${name} [${shape}] is missing`);
    else if (!sameShape(found.shape, shape)) problems.push(`${name} is [${found.shape}], this model needs [${shape}]`);
  }
  for (const name of tensors.keys())
    if (!expected.has(name) && modules.has(moduleOf(name))) problems.push(`${name} belongs to no tuned module`);
  return problems;
}

function expectedTensors(description: AdapterDescription, module: ModuleSpec, problems: string[]): Expected[] {
  const parameters: ParameterSpec[] = module.bias ? [module.weight, module.bias] : [module.weight];
  switch (description.method) {
    case 'full':
      return parameters;
    case 'spsft': {
      const rows = description.rows.get(module.name);
      if (!rows) {
        problems.push(`${module.name} is tuned but has no rows`);
        return [];
      }
      problems.push(...rowMistakes(module, rows));
      return parameters.map(({ name, shape }) => ({ name, shape: [rows.length, ...shape.slice(1)] }));
    }
    case 'lora': {
      const rank = description.lora.get(module.name);
      const [out, width] = module.weight.shape;
      if (!rank || module.kind !== 'linear' || out === undefined || width === undefined) {
        problems.push(rank ? `${module.name} is no linear layer` : `${module.name} is tuned but has no rank`);
        return [];
      }
      return [
        { name: `${module.name}.lora_A.weight`, shape: [rank.r, width] },
        { name: `${module.name}.lora_B.weight`, shape: [out, rank.r] },
      ];
    }
  }
}

function rowMistakes(module: ModuleSpec, rows: Int32Array): string[] {
  const count = module.weight.shape[0] as number;
  const outside = rows.find(row => row < 0 || row >= count);
  const fall = rows.findIndex((row, i) => i > 0 && row <= (rows[i - 1] as number));
  const mistakes: string[] = [];
  if (rows.length === 0) mistakes.push(`${module.name} is tuned in no row`);
  if (outside !== undefined) mistakes.push(`row ${outside} of ${module.name} is outside its ${count} rows`);
  if (fall > 0) mistakes.push(`the rows of ${module.name} do not ascend: ${rows[fall]} follows ${rows[fall - 1]}`);
  return mistakes;
}
