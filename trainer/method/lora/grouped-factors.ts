/**
 * Converts LoRA of a grouped convolution between PEFT's form and ours. In PEFT, the filters of A [R, in, kh, kw] read the channels of all
 * groups, and B [out, R / groups, 1, 1] combines those of one group. If the filters of each group are zero outside its own channels, this
 * equals our A [r, in / groups, kh, kw] with B [out, r, 1, 1], which corresponds to a weight. Other filters do not correspond to a weight
 * of a grouped convolution.
 */
import type { PeftTensor } from '../peft-form.ts';
import type { TrainedParts } from '../trained-parts.ts';

export interface Factors {
  readonly a: Float32Array;
  readonly b: Float32Array;
}

/**
 * Converts our factors to PEFT's form with rank groups · m, where m is the largest number of factors that one group uses.
 * @param b [out, r]
 * @param used the indices of the factors that each group uses
 */
export function acrossGroups({ a, b }: Factors, r: number, used: readonly (readonly number[])[]): Factors {
  const groups = used.length;
  const m = mostUsed(used);
  const [width, out] = [a.length / r, b.length / r];
  const wide = new Float32Array(groups * m * groups * width);
  const narrow = new Float32Array(out * m);
  for (const [group, factors] of used.entries())
    for (const [j, k] of factors.entries()) {
      wide.set(a.subarray(k * width, (k + 1) * width), ((group * m + j) * groups + group) * width);
      for (let row = (group * out) / groups; row < ((group + 1) * out) / groups; row++) narrow[row * m + j] = b[row * r + k] as number;
    }
  return { a: wide, b: narrow };
}

export const mostUsed = (used: readonly (readonly number[])[]): number => Math.max(1, ...used.map(({ length }) => length));

/** Converts PEFT's A [R, in, kh, kw] to our form, [R, in / groups, kh, kw]; undefined if a filter reads channels outside its group. */
export function ownFilters(a: Float32Array, rank: number, groups: number): Float32Array | undefined {
  const width = a.length / rank / groups;
  const own = new Float32Array(rank * width);
  let others = 0;
  for (let k = 0; k < rank; k++) {
    const begin = (k * groups + groupOf(k, rank, groups)) * width;
    own.set(a.subarray(begin, begin + width), k * width);
  }
  for (const value of a) others += value === 0 ? 0 : 1;
  for (const value of own) others -= value === 0 ? 0 : 1;
  return others === 0 ? own : undefined;
}

/** Converts PEFT's B [out, R / groups, 1, 1] to our form, [out, R, 1, 1]. */
export function ownMixture(b: Float32Array, rank: number, groups: number): Float32Array {
  const m = rank / groups;
  const out = b.length / m;
  const own = new Float32Array(out * rank);
  for (let row = 0; row < out; row++) own.set(b.subarray(row * m, (row + 1) * m), row * rank + groupOf(row, out, groups) * m);
  return own;
}

/** The group of row or factor `i` of `count`. */
export const groupOf = (i: number, count: number, groups: number): number => Math.floor((i * groups) / count);

/** Returns the factors of grouped convolutions in our form; those that cannot be converted are added to `problems`. */
export async function convertedFactors(adapter: TrainedParts, problems: string[]): Promise<Map<string, PeftTensor>> {
  const { description, tensors, readFloat32: read } = adapter;
  const own = new Map<string, PeftTensor>();
  for (const [module, { r }] of description.lora) {
    const { a, b, channels, out, window, ofGroup } = storedFactors(tensors, module, r);
    const groups = r / ofGroup;
    if (window.length === 0 || groups === 1) continue;
    if (!Number.isInteger(groups) || channels % groups !== 0 || out % groups !== 0)
      problems.push(`the factors of ${module} have the ranks ${r} and ${ofGroup}, which no number of groups explains`);
    else if (!ownFilters(await read(a), r, groups)) problems.push(`${a} reads channels of all ${groups} groups, ${NO_WEIGHT}`);
    else {
      const filters = async () => ownFilters(await read(a), r, groups) ?? new Float32Array();
      own.set(a, { name: a, shape: [r, channels / groups, ...window], values: filters });
      own.set(b, { name: b, shape: [out, r, ...window.map(() => 1)], values: async () => ownMixture(await read(b), r, groups) });
    }
  }
  return own;
}

/** Returns the modules of a PEFT adapter whose factors belong to a grouped convolution. */
export const groupedModules = ({ description, tensors }: TrainedParts): string[] =>
  [...description.lora].flatMap(([module, { r }]) => {
    const { window, ofGroup } = storedFactors(tensors, module, r);
    return window.length > 0 && r !== ofGroup ? [module] : [];
  });

/** The shapes of A [R, channels, …window] and B [out, ofGroup, …]. */
function storedFactors(tensors: TrainedParts['tensors'], module: string, r: number) {
  const [a, b] = [`${module}.lora_A.weight`, `${module}.lora_B.weight`];
  const [, channels = 0, ...window] = tensors.get(a)?.shape ?? [];
  const [out = 0, ofGroup = r] = tensors.get(b)?.shape ?? [];
  return { a, b, channels, out, window, ofGroup };
}

const NO_WEIGHT = 'which no weight of a grouped convolution expresses';
