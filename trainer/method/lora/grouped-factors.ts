/**
 * LoRA of a grouped convolution in PEFT's form and in ours. In PEFT the filters of A [R, in, kh, kw] see the channels of all groups, and
 * B [out, R / groups, 1, 1] adds up those of one group. Where the filters of each group are zero outside of its own channels, that is our
 * A [r, in / groups, kh, kw] with B [out, r, 1, 1], which belongs to a weight; other filters belong to no weight of a grouped convolution.
 */
import type { PeftTensor } from '../peft-form.ts';
import type { TrainedParts } from '../trained-parts.ts';

export interface Factors {
  readonly a: Float32Array;
  readonly b: Float32Array;
}

/**
 * Our factors in PEFT's form, of the rank groups · m with m the most factors that one group uses.
 * @param b [out, r]
 * @param used for each group the factors that it uses, by their number
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

/** PEFT's A [R, in, kh, kw] in our form, [R, in / groups, kh, kw]; undefined where a filter sees channels outside of its group. */
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

/** PEFT's B [out, R / groups, 1, 1] in our form, [out, R, 1, 1]. */
export function ownMixture(b: Float32Array, rank: number, groups: number): Float32Array {
  const m = rank / groups;
  const out = b.length / m;
  const own = new Float32Array(out * rank);
  for (let row = 0; row < out; row++) own.set(b.subarray(row * m, (row + 1) * m), row * rank + groupOf(row, out, groups) * m);
  return own;
}

/** The group of row or factor `i` of `count`. */
export const groupOf = (i: number, count: number, groups: number): number => Math.floor((i * groups) / count);

/** Returns the factors of grouped convolutions in our form; those that have none go to `problems`. */
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

/** Returns the modules of an adapter of PEFT whose factors belong to a convolution of several groups. */
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
