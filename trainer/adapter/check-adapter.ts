/** Checks whether an adapter belongs to a model, and lists every mismatch in one error. */

import { methodCatalog } from '../catalog/methods.ts';
import { elementCount, sameShape } from '../graph/types.ts';
import { methods } from '../method/methods.ts';
import type { ExpectedTensor } from '../method/trained-parts.ts';
import { isCausal, type Model } from '../model/model-spec.ts';
import { isBiasAlone, type ModuleSpec, type ParameterSpec } from '../model/module-specs.ts';
import { type Adapter, type AdapterDescription, AdapterError, moduleOf } from './adapter.ts';

/**
 * Compares base fingerprint, modules, shapes and rows. An adapter of another tool has no fingerprint, so only the rest is checked.
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

/**
 * Checks only that these are the weights on which an adapter was trained, before the data shows how large a head is.
 * @throws AdapterError
 */
export function checkBase({ dir, description: { base } }: Adapter, fingerprint: string): void {
  const problem = fingerprintMismatch(base, fingerprint);
  if (problem) throw new AdapterError(dir, [problem], `It was made for ${base.source}: give that model.`);
}

const fingerprintMismatch = ({ fingerprint: own }: AdapterDescription['base'], fingerprint: string): string | undefined =>
  own === undefined || own === fingerprint
    ? undefined
    : `was trained on weights with the fingerprint ${own.slice(0, 12)}…, these have ${fingerprint.slice(0, 12)}…`;

/** Every mismatch as a sentence; empty if the adapter fits. */
export function adapterMismatches(
  { description, tensors }: Pick<Adapter, 'description' | 'tensors'>,
  model: Model,
  fingerprint: string,
): string[] {
  const problems: string[] = [];
  const foreign = fingerprintMismatch(description.base, fingerprint);
  if (foreign) problems.push(foreign);
  const modules = new Map(model.modules.map(module => [module.name, module]));
  const expected = new Map<string, ExpectedTensor>();
  for (const name of description.modules) {
    const module = modules.get(name);
    if (!module) problems.push(`tunes ${name}, which this ${model.family} does not have`);
    else {
      // The bias of a convolution over tokens is a module by itself, whose tensor has the same ending as the bias of a layer.
      const bias = modules.get(`${name}.bias`)?.weight;
      const own = bias && tensors.has(bias.name) ? [bias] : [];
      for (const tensor of [...own, ...expectedTensors(description, module, problems, own)]) expected.set(tensor.name, tensor);
    }
  }
  for (const { name, shape } of expected.values()) {
    const found = tensors.get(name);
    if (!found) problems.push(`${name} [${shape}] is missing`);
    else if (!sameShape(found.shape, shape)) problems.push(`${name} is [${found.shape}], this model needs [${shape}]`);
  }
  for (const name of tensors.keys())
    if (!expected.has(name) && modules.has(moduleOf(name))) problems.push(`${name} belongs to no tuned module`);
  const tied = tiedHead(model);
  if (tied !== undefined && description.modules.includes(tied) && description.createdBy.startsWith('peft'))
    problems.push(`tunes ${tied}, which is the output head too; PEFT would leave the head as it is: merge this adapter with PEFT`);
  return problems;
}

/** The name of the embedding to which a causal model's output head is tied. */
function tiedHead(model: Model): string | undefined {
  return isCausal(model) && model.head.kind === 'embedding' ? model.head.name : undefined;
}

/**
 * Returns the tensors that the description promises for one module; errors of the description are added to `problems`.
 * @param others tensors that are known to be the module's
 */
function expectedTensors(
  description: AdapterDescription,
  module: ModuleSpec,
  problems: string[],
  others: readonly ExpectedTensor[],
): ExpectedTensor[] {
  const { name, weight, bias } = module;
  const { method, rows: allRows, columns: allColumns, elements: allElements, whole } = description;
  const parameters: ParameterSpec[] = bias ? [weight, bias] : [weight];
  if (whole.includes(name) || (isBiasAlone(module) && !allRows.has(name))) return parameters;
  const [rows, columns, elements] = [allRows.get(name), allColumns.get(name), allElements.get(name)];
  const expected: ExpectedTensor[] = [];
  if (rows) {
    problems.push(...placeMistakes(name, 'row', rows, weight.shape[0] as number));
    const byRows = elements || columns ? parameters.slice(1) : parameters;
    expected.push(...byRows.map(parameter => ({ name: parameter.name, shape: [rows.length, ...parameter.shape.slice(1)] })));
  }
  if (columns) {
    const [out = 0, width = 0] = weight.shape;
    problems.push(...placeMistakes(name, 'column', columns, weight.shape.length === 2 ? width : 0));
    expected.push({ name: weight.name, shape: [out, columns.length] });
  }
  if (elements) {
    problems.push(...placeMistakes(name, 'element', elements, elementCount(weight.shape)));
    expected.push({ name: weight.name, shape: [elements.length] });
  }
  expected.push(...(methods[method].added?.expected(description, module, problems) ?? []));
  if (methodCatalog[method].trainsBiases && bias) expected.push(bias);
  if (expected.length + others.length === 0) problems.push(`${name} is tuned, but it has neither ${MISSING_PARTS}`);
  return expected;
}

const MISSING_PARTS = 'rows, columns, elements, factors nor vectors, and is not trained whole';

function placeMistakes(module: string, noun: 'row' | 'column' | 'element', places: Int32Array, count: number): string[] {
  const outside = places.find(place => place < 0 || place >= count);
  const fall = places.findIndex((place, i) => i > 0 && place <= (places[i - 1] as number));
  const mistakes: string[] = [];
  if (places.length === 0) mistakes.push(`${module} is tuned in no ${noun}`);
  if (outside !== undefined) mistakes.push(`${noun} ${outside} of ${module} is outside its ${count} ${noun}s`);
  if (fall > 0) mistakes.push(`the ${noun}s of ${module} do not ascend: ${places[fall]} follows ${places[fall - 1]}`);
  return mistakes;
}
