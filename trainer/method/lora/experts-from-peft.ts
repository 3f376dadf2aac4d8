/** Converts PEFT's factors of experts for a given model: see `experts-to-peft.ts`. Separate factors for each expert are read too. */
import { elementCount, sameShape } from '../../graph/types.ts';
import type { Model } from '../../model/model-spec.ts';
import { type ExpertsSpec, isExperts } from '../../model/module-specs.ts';
import { elementAt } from '../../narrow.ts';
import type { FittedModule, PeftTensor } from '../peft-form.ts';
import type { AdapterRank, TrainedParts } from '../trained-parts.ts';
import { targetOf } from './experts-to-peft.ts';

type Fitted = readonly FittedModule[];

/**
 * The factors of an adapter under the model's names. Factors that do not belong to the model keep their names and are refused later.
 * @param parameters names of Transformers' parameters that have factors
 */
export async function fitToModel(
  adapter: TrainedParts,
  parameters: ReadonlySet<string>,
  model: Model,
  problems: string[],
): Promise<ReadonlyMap<string, Fitted>> {
  const found = new Map<string, Fitted>();
  for (const name of parameters) {
    const members = model.modules.filter(isExperts).filter(({ fused }) => targetOf(fused) === name);
    if (members.length > 0) found.set(name, await split(adapter, name, members, problems));
  }
  for (const module of model.modules.filter(isExperts))
    for (const [name, fitted] of joined(adapter, module, problems)) found.set(name, fitted);
  return found;
}

const [A, B] = ['lora_A.weight', 'lora_B.weight'] as const;

const rankOf = ({ description }: TrainedParts, name: string): AdapterRank => description.lora.get(name) ?? { r: 1, alpha: 1 };

/** Reports factors whose shapes differ from those that the model needs. */
function checkShapes(adapter: TrainedParts, name: string, needed: Readonly<Record<string, readonly number[]>>, problems: string[]): void {
  for (const [end, shape] of Object.entries(needed)) {
    const own = adapter.tensors.get(`${name}.${end}`)?.shape ?? [];
    if (!sameShape(own, shape)) problems.push(`${name}.${end} is [${own}], this model needs [${shape}]`);
  }
}

/** The factors of a parameter, split into those of each module that has rows in it. */
async function split(adapter: TrainedParts, name: string, members: readonly ExpertsSpec[], problems: string[]): Promise<Fitted> {
  const { r, alpha } = rankOf(adapter, name);
  const { experts, fused, weight } = elementAt(members, 0);
  const width = weight.shape[1] as number;
  checkShapes(adapter, name, { [A]: [experts * r, width], [B]: [fused.every, r * experts] }, problems);
  if (problems.length > 0) return [];
  const b = await adapter.readFloat32(`${name}.${B}`);
  return usedFactors(b, members, r).map(({ module, used }) => {
    const out = (module.weight.shape[0] as number) / experts;
    const aShape = [experts * used.length, width];
    const bShape = [experts * out, used.length];
    return {
      name: module.name,
      rank: { r: used.length, alpha: (alpha * used.length) / r },
      a: {
        name: `${module.name}.${A}`,
        shape: aShape,
        values: async () => chosenA(await adapter.readFloat32(`${name}.${A}`), used, r, width),
      },
      b: {
        name: `${module.name}.${B}`,
        shape: bShape,
        values: async () => chosenB(await adapter.readFloat32(`${name}.${B}`), used, r, module),
      },
    };
  });
}

interface Used {
  readonly module: ExpertsSpec;
  /** Indices of the factors that affect its rows. */
  readonly used: readonly number[];
}

/**
 * The factors that each module needs. If gate and up use separate shares of equal size, each needs its own; otherwise a module that is
 * changed at all needs all of them.
 */
function usedFactors(b: Float32Array, members: readonly ExpertsSpec[], r: number): Used[] {
  const all = Array.from({ length: r }, (_, k) => k);
  const touched = members.map(module => ({ module, factors: factorsWithNumbers(b, module, r) }));
  const changed = touched.filter(({ factors }) => factors.size > 0);
  const share = r / changed.length;
  const isApart =
    Number.isInteger(share) && changed.every(({ factors }, i) => [...factors].every(k => k >= i * share && k < (i + 1) * share));
  if (isApart && changed.length > 0) return changed.map(({ module }, i) => ({ module, used: all.slice(i * share, (i + 1) * share) }));
  return (changed.length > 0 ? changed : touched).map(({ module }) => ({ module, used: all }));
}

/** Indices of the factors with a nonzero value in the module's rows of B. */
function factorsWithNumbers(b: Float32Array, { fused, experts, weight }: ExpertsSpec, r: number): Set<number> {
  const found = new Set<number>();
  const out = (weight.shape[0] as number) / experts;
  const end = (fused.begin + out) * r * experts;
  for (let i = fused.begin * r * experts; i < end && found.size < r; i++) if (b[i] !== 0) found.add(Math.floor(i / experts) % r);
  return found;
}

/** [experts · r, in] → [experts · used, in]. */
function chosenA(a: Float32Array, used: readonly number[], r: number, width: number): Float32Array {
  if (used.length === r) return a;
  const experts = a.length / r / width;
  const own = new Float32Array(experts * used.length * width);
  for (let e = 0; e < experts; e++)
    for (const [j, k] of used.entries()) own.set(a.subarray((e * r + k) * width, (e * r + k + 1) * width), (e * used.length + j) * width);
  return own;
}

/** [every, r · experts] → [experts · out, used]. */
function chosenB(b: Float32Array, used: readonly number[], r: number, { fused, experts, weight }: ExpertsSpec): Float32Array {
  const rows = weight.shape[0] as number;
  const out = rows / experts;
  const own = new Float32Array(rows * used.length);
  for (let i = 0; i < rows; i++)
    for (const [j, k] of used.entries())
      own[i * used.length + j] = b[((fused.begin + (i % out)) * r + k) * experts + Math.floor(i / out)] as number;
  return own;
}

/**
 * Stacks the factors of single experts, PEFT's form with Transformers 4, under the name of the first expert; experts without factors get
 * zeros.
 */
function joined(adapter: TrainedParts, module: ExpertsSpec, problems: string[]): ReadonlyMap<string, Fitted> {
  const separate = module.weight.stack?.forms.find(form => form.kind === 'separate');
  const names = separate?.kind === 'separate' ? separate.names.map(name => name.replace(/\.weight$/, '')) : [];
  const held = names.filter(name => adapter.description.lora.has(name));
  const [first] = held;
  if (first === undefined) return new Map();
  const rank = rankOf(adapter, first);
  const other = held.find(name => rankOf(adapter, name).r !== rank.r || rankOf(adapter, name).alpha !== rank.alpha);
  if (other) problems.push(`${other} has a different rank or scale from ${first}: the experts of a layer have the same here`);
  const [rows = 0, width = 0] = module.weight.shape;
  const stacked = (end: string, shape: readonly number[]): PeftTensor => ({
    name: `${module.name}.${end}`,
    shape,
    values: async () => {
      const all = new Float32Array(elementCount(shape));
      for (const [expert, name] of names.entries())
        if (held.includes(name)) all.set(await adapter.readFloat32(`${name}.${end}`), (expert * all.length) / names.length);
      return all;
    },
  });
  for (const name of held) checkShapes(adapter, name, { [A]: [rank.r, width], [B]: [rows / names.length, rank.r] }, problems);
  const fitted = { name: module.name, rank, a: stacked(A, [names.length * rank.r, width]), b: stacked(B, [rows, rank.r]) };
  return new Map(held.map((name, i) => [name, i === 0 ? [fitted] : []]));
}
