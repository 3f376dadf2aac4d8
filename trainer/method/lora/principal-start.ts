/**
 * PiSSA's initial factors (Meng et al. 2024), as in PEFT: with W = U·diag(σ)·Vᵀ and the scale s = alpha / r, A = diag(√(σ/s))·Vᵀ and B =
 * U·diag(√(σ/s)) for the r largest singular values. The engine holds the rest of the weight, W − s·B·A, and trains A and B. An adapter
 * refers to W itself, so it has factors of rank 2r: the trained ones, and their initial values with the opposite sign.
 */
import type { VariableSpec } from '../../graph/graph.ts';
import type { VariableData } from '../../graph/program.ts';
import { elementCount } from '../../graph/types.ts';
import type { ModuleSpec } from '../../model/module-specs.ts';
import { elementAt, valueFor } from '../../narrow.ts';
import { singularParts } from '../../principal-directions.ts';
import type { Attachment, StoredForm, Trainable } from '../method.ts';
import { TargetError } from '../targets.ts';
import { addProduct } from './add-product.ts';

interface Pair {
  /** [r, …]. */
  readonly a: VariableSpec;
  /** [out, r, …]. */
  readonly b: VariableSpec;
}

interface Factors {
  readonly a: Float32Array;
  readonly b: Float32Array;
}

/** The parts of an attachment that change if the initial factors come from the weights. @param r the rank of every pair */
export function startInWeights(
  modules: readonly ModuleSpec[],
  { pairs, scale }: { readonly pairs: ReadonlyMap<string, Pair>; readonly scale: number },
  r: number,
): Required<Pick<Attachment, 'lora' | 'derived' | 'taken'>> & { readonly storedForms: ReadonlyMap<string, StoredForm> } {
  checkRank(modules, r);
  const byWeight = new Map(modules.map(module => [module.weight.name, { module, pair: valueFor(pairs, module.name) }]));
  const starts = new Map<string, Factors>();
  const startOf = ({ module, pair }: { readonly module: ModuleSpec; readonly pair: Pair }, data: VariableData['data']): Factors => {
    const found = starts.get(pair.a.name) ?? firstFactors(module, data, { r, scale });
    starts.set(pair.a.name, found);
    return found;
  };
  return {
    lora: new Map(modules.map(({ name }) => [name, { r: 2 * r, alpha: 2 * scale * r }])),
    *derived(weight) {
      const own = byWeight.get(weight.name);
      if (!own) return;
      const { a, b } = startOf(own, weight.data);
      yield { name: own.pair.a.name, data: a.slice() };
      yield { name: own.pair.b.name, data: b.slice() };
    },
    taken: {
      restOf: weight => {
        const own = byWeight.get(weight.name);
        if (!own || weight.data === 'zeros') return undefined;
        const { a, b } = startOf(own, weight.data);
        return { name: weight.name, data: addProduct(Float32Array.from(weight.data), a, b, { r, alpha: -scale * r }) };
      },
      restore: async read => {
        for (const { a, b } of pairs.values())
          starts.set(a.name, { a: secondRows(await read(a.name)), b: secondColumns(await read(b.name), r) });
      },
      kept: [...pairs.values()].flatMap(({ a, b }) => [a, b]),
    },
    storedForms: new Map(
      [...pairs.values()].flatMap(({ a, b }) => [
        [a.name, storedA(a, () => valueFor(starts, a.name).a)],
        [b.name, storedB(b, r, () => valueFor(starts, a.name).b)],
      ]),
    ),
  };
}

/** The trainables with the form that adapters store them in. */
export const withStoredForms = (trainables: readonly Trainable[], forms: ReadonlyMap<string, StoredForm>): Trainable[] =>
  trainables.map(trainable => ({ ...trainable, stored: forms.get(trainable.name) }));

/** @throws TargetError that names the weights with fewer singular values */
function checkRank(modules: readonly ModuleSpec[], r: number): void {
  const sideOf = ({ weight: { shape } }: ModuleSpec): number => Math.min(elementAt(shape, 0), elementCount(shape.slice(1)));
  const small = modules.filter(module => sideOf(module) < r);
  if (small.length === 0) return;
  const shown = small.slice(0, 3).map(module => `${module.name} (${sideOf(module)})`);
  throw new TargetError(
    `init_lora_weights: pissa takes r ${r} singular values of each weight, and ${small.length} have fewer: ${shown.join(', ')}${small.length > 3 ? ', …' : ''}; set r to ${Math.min(...small.map(sideOf))} or less, or leave these layers out of target_modules`,
  );
}

function firstFactors({ weight: { shape } }: ModuleSpec, data: VariableData['data'], { r, scale }: { r: number; scale: number }): Factors {
  const [rows, width] = [elementAt(shape, 0), elementCount(shape.slice(1))];
  const [a, b] = [new Float32Array(r * width), new Float32Array(rows * r)];
  if (data === 'zeros') return { a, b };
  const { left, values, right } = singularParts(Float32Array.from(data), rows, r);
  for (let k = 0; k < r; k++) {
    const root = Math.sqrt((values[k] as number) / scale);
    for (let j = 0; j < width; j++) a[k * width + j] = root * (right[j * r + k] as number);
    for (let i = 0; i < rows; i++) b[i * r + k] = root * (left[i * r + k] as number);
  }
  return { a, b };
}

/** A [r, …] above its initial value: [2r, …]. */
function storedA({ shape }: Pair['a'], startOf: () => Float32Array): StoredForm {
  const [r, ...rest] = [elementAt(shape, 0), ...shape.slice(1)];
  return {
    shape: [2 * r, ...rest],
    fromTrained: values => {
      const both = new Float32Array(2 * values.length);
      both.set(values);
      both.set(startOf(), values.length);
      return both;
    },
    toTrained: both => both.slice(0, both.length / 2),
  };
}

const secondRows = (both: Float32Array): Float32Array => both.slice(both.length / 2);

/** B [out, r, …] next to its initial value with the opposite sign: [out, 2r, …]. */
function storedB({ shape }: Pair['b'], r: number, startOf: () => Float32Array): StoredForm {
  return {
    shape: [elementAt(shape, 0), 2 * r, ...shape.slice(2)],
    fromTrained: values => {
      const start = startOf();
      return Float32Array.from({ length: 2 * values.length }, (_, at) => {
        const [row, k] = [Math.floor(at / (2 * r)), at % (2 * r)];
        return k < r ? (values[row * r + k] as number) : -(start[row * r + k - r] as number);
      });
    },
    toTrained: both => Float32Array.from({ length: both.length / 2 }, (_, at) => both[Math.floor(at / r) * 2 * r + (at % r)] as number),
  };
}

const secondColumns = (both: Float32Array, r: number): Float32Array =>
  Float32Array.from({ length: both.length / 2 }, (_, at) => -(both[Math.floor(at / r) * 2 * r + r + (at % r)] as number));
