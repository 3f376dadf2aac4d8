/** Does an adapter belong to this model? Everything in which they disagree, in one error. */
import { methodCatalog } from '../../catalog/methods.ts';
import { elementCount, sameShape } from '../../graph/types.ts';
import { magnitudeOf } from '../../method/dora.ts';
import type { VeraShape } from '../../method/method.ts';
import type { CausalModel, Model, ModuleSpec, ParameterSpec } from '../../model/model-spec.ts';
import { type Adapter, type AdapterDescription, AdapterError, type AdapterRank, moduleOf } from './adapter.ts';

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

/**
 * Whether these are the weights that an adapter was trained on: all that can be said before the data tells how large a head is.
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

/** Every mismatch as a sentence; empty means that it fits. */
export function adapterMismatches(
  { description, tensors }: Pick<Adapter, 'description' | 'tensors'>,
  model: Model,
  fingerprint: string,
): string[] {
  const problems: string[] = [];
  const foreign = fingerprintMismatch(description.base, fingerprint);
  if (foreign) problems.push(foreign);
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
  const tied = tiedHead(model);
  if (tied !== undefined && description.modules.includes(tied) && description.createdBy.startsWith('peft'))
    problems.push(`tunes ${tied}, which is the output head too; PEFT would leave the head as it is: merge this adapter with PEFT`);
  return problems;
}

/** The embedding that a causal model's output head is tied to. */
function tiedHead(model: Model): string | undefined {
  const { kind, head } = model as Partial<CausalModel>;
  return kind === 'causal' && head?.kind === 'embedding' ? head.name : undefined;
}

/** What the description says of one module, as tensors; what it says wrongly goes to `problems`. */
function expectedTensors(description: AdapterDescription, module: ModuleSpec, problems: string[]): Expected[] {
  const { name, weight, bias } = module;
  const { method, rows: allRows, elements: allElements, lora, vera, whole } = description;
  const parameters: ParameterSpec[] = bias ? [weight, bias] : [weight];
  if (whole.includes(name)) return parameters;
  const [rows, elements, rank] = [allRows.get(name), allElements.get(name), lora.get(name)];
  const expected: Expected[] = [];
  if (rows) {
    problems.push(...placeMistakes(name, 'row', rows, weight.shape[0] as number));
    const byRows = elements ? parameters.slice(1) : parameters;
    expected.push(...byRows.map(parameter => ({ name: parameter.name, shape: [rows.length, ...parameter.shape.slice(1)] })));
  }
  if (elements) {
    problems.push(...placeMistakes(name, 'element', elements, elementCount(weight.shape)));
    expected.push({ name: weight.name, shape: [elements.length] });
  }
  if (rank) expected.push(...factorTensors(module, rank, methodCatalog[method].hasMagnitudes, problems));
  if (vera && methodCatalog[method].lowRank === 'vectors') expected.push(...veraTensors(module, vera, problems));
  if (methodCatalog[method].trainsBiases && bias) expected.push(bias);
  if (expected.length === 0) problems.push(`${name} is tuned, but it has neither ${MISSING_PARTS}`);
  return expected;
}

const MISSING_PARTS = 'rows, elements, factors nor vectors, and is not trained whole';

function factorTensors({ name, kind, weight }: ModuleSpec, { r, hasBias }: AdapterRank, isDora: boolean, problems: string[]): Expected[] {
  const [out = 0, ...rest] = weight.shape;
  if (kind === 'embedding' && !isDora)
    return [
      { name: `${name}.lora_embedding_A`, shape: [r, out] },
      { name: `${name}.lora_embedding_B`, shape: [rest[0] ?? 0, r] },
    ];
  if (kind !== 'linear' && kind !== 'conv') {
    problems.push(`${name} is neither a linear layer nor a convolution`);
    return [];
  }
  return [
    { name: `${name}.lora_A.weight`, shape: [r, ...rest] },
    { name: `${name}.lora_B.weight`, shape: [out, r, ...rest.slice(1).map(() => 1)] },
    ...(hasBias ? [{ name: `${name}.lora_B.bias`, shape: [out] }] : []),
    ...(isDora ? [magnitudeOf({ name, weight })] : []),
  ];
}

function veraTensors({ name, kind, weight }: ModuleSpec, vera: VeraShape, problems: string[]): Expected[] {
  const [out = 0, width = 0] = weight.shape;
  if (kind !== 'linear') problems.push(`${name} is no linear layer`);
  if (out > vera.output || (vera.input > 0 && width > vera.input))
    problems.push(`${name} [${out},${width}] is larger than the shared matrices, which are for up to [${vera.output},${vera.input}]`);
  return [
    { name: `${name}.vera_lambda_d`, shape: [vera.r] },
    { name: `${name}.vera_lambda_b`, shape: [out] },
  ];
}

function placeMistakes(module: string, noun: 'row' | 'element', places: Int32Array, count: number): string[] {
  const outside = places.find(place => place < 0 || place >= count);
  const fall = places.findIndex((place, i) => i > 0 && place <= (places[i - 1] as number));
  const mistakes: string[] = [];
  if (places.length === 0) mistakes.push(`${module} is tuned in no ${noun}`);
  if (outside !== undefined) mistakes.push(`${noun} ${outside} of ${module} is outside its ${count} ${noun}s`);
  if (fall > 0) mistakes.push(`the ${noun}s of ${module} do not ascend: ${places[fall]} follows ${places[fall - 1]}`);
  return mistakes;
}
