/**
 * Converts trained parameters to factors of llama.cpp: W + (alpha / r)·B·A for linear layers, with one alpha for the whole file, A [r, in]
 * and B [out, r] (`llama-adapter.cpp`). Trained rows of a linear layer can be expressed exactly as factors, and so can trained columns.
 */

import type { Adapter } from '../../adapter/adapter.ts';
import { methodCatalog } from '../../catalog/methods.ts';
import { methods } from '../../method/methods.ts';
import type { PeftTensor } from '../../method/peft-form.ts';
import type { CausalModel } from '../../model/model-spec.ts';
import type { ModuleSpec } from '../../model/module-specs.ts';
import type { WeightSource } from '../../model/weight-source.ts';
import { withInitial } from '../../model/weight-stream.ts';
import { required } from '../../narrow.ts';
import { ExportError } from '../export-error.ts';

export interface Factors {
  readonly module: ModuleSpec;
  /** [r, in] */
  readonly a: PeftTensor;
  /** [out, r]; the product of both is multiplied by `scale`. */
  readonly b: PeftTensor;
  readonly scale: number;
}

/** Maximum number of names in a message; the rest are counted. */
const MAX_NAMED = 8;

/** @throws ExportError that names the parts for which llama.cpp has no factors */
export function factorsOf(model: CausalModel, weights: WeightSource, adapter: Adapter): readonly Factors[] {
  const { method, modules, rows, columns, lora } = adapter.description;
  const form = methods[method].peft;
  if (form === undefined) {
    const { noPeft } = methodCatalog[method];
    throw new ExportError(`'${method}' has no factors${noPeft === undefined ? '' : `: it ${noPeft}`}. Export it as merged or as gguf`);
  }
  const tuned = model.modules.filter(({ name }) => modules.includes(name));
  const wrong = tuned.flatMap(module => {
    const reason = whyNot(adapter, module);
    return reason === undefined ? [] : [`${module.name} (${reason})`];
  });
  if (wrong.length > 0) {
    const more = wrong.length > MAX_NAMED ? ` and ${wrong.length - MAX_NAMED} more` : '';
    throw new ExportError(
      `llama.cpp's adapters support only linear layers; they cannot express what was trained in ${wrong.slice(0, MAX_NAMED).join(', ')}${more}: export it as gguf`,
    );
  }
  const { tensors, shared = [] } = form.toPeft({ model, weights: withInitial(model, weights), adapter, modules: tuned });
  const byName = new Map(tensors.map(tensor => [tensor.name, tensor]));
  const factors = tuned.map((module): Factors => {
    const [a, b] = [byName.get(`${module.name}.lora_A.weight`), byName.get(`${module.name}.lora_B.weight`)];
    if (a === undefined || b === undefined) throw new ExportError(`'${method}' has no factors of ${module.name}: export it as gguf`);
    const trained = lora.get(module.name);
    const isExact = rows.has(module.name) || columns.has(module.name);
    return { module, a, b, scale: isExact || trained === undefined ? 1 : trained.alpha / trained.r };
  });
  const known = new Set(factors.flatMap(({ a, b }) => [a.name, b.name]));
  const other = [...byName.keys(), ...shared.map(({ name }) => name)].find(name => !known.has(name));
  if (other !== undefined) throw new ExportError(`llama.cpp's adapters have no ${other}: export it as gguf`);
  return factors;
}

/** The rank of factors. */
export const rankOf = ({ b }: Factors): number => required(b.shape[1], `the rank of ${b.name}`);

function whyNot({ description, tensors }: Adapter, { name, kind, weight, bias }: ModuleSpec): string | undefined {
  if (kind !== 'linear' || weight.shape.length !== 2) return kind === 'linear' ? 'not a matrix' : `of the kind ${kind}`;
  if (description.whole.includes(name)) return 'trained whole';
  if (description.elements.has(name)) return 'single elements of it were trained';
  if (description.lora.get(name)?.hasBias || (bias && tensors.has(bias.name))) return 'its bias was trained';
  return undefined;
}
