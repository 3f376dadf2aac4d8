/**
 * Converts factors of experts to PEFT's form. Transformers 5 holds the weights of all experts in one parameter [experts, every, in], often
 * gate and up together, and PEFT's `target_parameters` gives each expert factors: A [experts · R, in], expert by expert, and B [every, R ·
 * experts], whose column k · experts + e is factor k of expert e. Factors of gate and up are side by side: R is the sum of their ranks, and
 * B is zero where rows of one meet factors of the other.
 */
import type { ExpertsSpec, FusedRows } from '../../model/module-specs.ts';
import { elementAt } from '../../narrow.ts';
import type { PeftTensor, ToPeftParams } from '../peft-form.ts';
import type { AdapterRank } from '../trained-parts.ts';
import { rowChange } from './row-change.ts';

/** The contribution of one module to the factors of a parameter. */
interface Member {
  readonly module: ExpertsSpec;
  readonly trained?: AdapterRank | undefined;
  /** Trained rows by expert: the index of each among all trained rows, and its row number within the expert. */
  readonly rows: readonly (readonly { readonly place: number; readonly row: number }[])[];
  readonly r: number;
}

/** The factors of one parameter. */
export interface ParameterFactors {
  /** Its name in `target_parameters`. */
  readonly target: string;
  readonly rank: AdapterRank;
  readonly tensors: readonly PeftTensor[];
}

/** @param modules tuned stacks of experts, in the model's order */
export function parameterFactors(params: ToPeftParams, modules: readonly ExpertsSpec[]): ParameterFactors[] {
  const byName = new Map<string, ExpertsSpec[]>();
  const inModule = new Map<string, FusedRows[]>();
  for (const module of modules) {
    const { fused } = module;
    const own = byName.get(targetOf(fused)) ?? [];
    byName.set(targetOf(fused), [...own, module]);
    if (own.length === 0) inModule.set(fused.module, [...(inModule.get(fused.module) ?? []), fused]);
  }
  return [...byName].map(([target, own]) => {
    const { fused } = elementAt(own, 0);
    const siblings = inModule.get(fused.module) ?? [];
    // PEFT wraps a module once per parameter; the first parameter is the innermost.
    const inside = siblings.length - 1 - siblings.findIndex(({ parameter }) => parameter === fused.parameter);
    return factorsOf(params, {
      target,
      path: fused.module + '.base_layer'.repeat(inside),
      members: own.map(each => memberOf(params, each)),
    });
  });
}

export const targetOf = ({ module, parameter }: FusedRows): string => `${module}.${parameter}`;

function memberOf({ adapter: { description } }: ToPeftParams, module: ExpertsSpec): Member {
  const trained = description.lora.get(module.name);
  const out = (module.weight.shape[0] as number) / module.experts;
  const chosen = [...(description.rows.get(module.name) ?? [])].map((row, place) => ({ place, row }));
  const rows = Array.from({ length: module.experts }, (_, expert) =>
    chosen.filter(({ row }) => Math.floor(row / out) === expert).map(({ place, row }) => ({ place, row: row % out })),
  );
  return { module, trained, rows, r: (trained?.r ?? 0) + Math.max(...rows.map(({ length }) => length)) };
}

interface Parts {
  readonly target: string;
  readonly path: string;
  readonly members: readonly Member[];
}

const scaleOf = ({ trained, r }: Member): number => (trained?.r === r ? trained.alpha / trained.r : 1);

function factorsOf(params: ToPeftParams, { target, path, members }: Parts): ParameterFactors {
  const first = elementAt(members, 0);
  const { experts, fused, weight } = first.module;
  const width = weight.shape[1] as number;
  const r = members.reduce((sum, member) => sum + member.r, 0);
  // All factors share one scale; if the members' scales differ, they are multiplied into B.
  const scale = members.every(member => scaleOf(member) === scaleOf(first)) ? scaleOf(first) : 1;
  const a = async (): Promise<Float32Array> => {
    const all = new Float32Array(experts * r * width);
    let at = 0;
    for (const member of members) {
      const own = await memberA(params, member, width);
      for (let e = 0; e < experts; e++) all.set(own.subarray(e * member.r * width, (e + 1) * member.r * width), (e * r + at) * width);
      at += member.r;
    }
    return all;
  };
  const b = async (): Promise<Float32Array> => {
    const all = new Float32Array(fused.every * r * experts);
    let at = 0;
    for (const member of members) {
      const own = await memberB(params, member, scale);
      const out = own.length / experts / member.r;
      for (let i = 0; i < experts * out; i++)
        for (let k = 0; k < member.r; k++) {
          const [row, expert] = [member.module.fused.begin + (i % out), Math.floor(i / out)];
          all[(row * r + at + k) * experts + expert] = own[i * member.r + k] as number;
        }
      at += member.r;
    }
    return all;
  };
  return {
    target,
    rank: { r, alpha: scale * r },
    tensors: [
      { name: `${path}.lora_A.weight`, shape: [experts * r, width], values: a },
      { name: `${path}.lora_B.weight`, shape: [fused.every, r * experts], values: b },
    ],
  };
}

/** [experts, r, in]: for each expert, the trained factors and the changes of its rows. */
async function memberA({ weights, adapter }: ToPeftParams, { module, trained, rows, r }: Member, width: number): Promise<Float32Array> {
  const name = `${module.name}.lora_A.weight`;
  const own = trained?.r ?? 0;
  const a = own > 0 ? await adapter.readFloat32(name) : new Float32Array();
  if (own === r) return a;
  const places = adapter.description.rows.get(module.name) ?? new Int32Array();
  const changes = await rowChange(weights, adapter, module.weight, places);
  const all = new Float32Array(module.experts * r * width);
  for (const [e, chosen] of rows.entries()) {
    all.set(a.subarray(e * own * width, (e + 1) * own * width), e * r * width);
    for (const [k, { place }] of chosen.entries()) all.set(changes.subarray(place * width, (place + 1) * width), (e * r + own + k) * width);
  }
  return all;
}

/** [experts · out, r]: for each expert, the trained factors divided by the common scale, and the selectors of its rows. */
async function memberB({ adapter }: ToPeftParams, member: Member, scale: number): Promise<Float32Array> {
  const { module, trained, rows, r } = member;
  const all = module.weight.shape[0] as number;
  const own = trained?.r ?? 0;
  const b = own > 0 ? await adapter.readFloat32(`${module.name}.lora_B.weight`) : new Float32Array();
  const factor = trained ? trained.alpha / trained.r / scale : 1;
  if (own === r && factor === 1) return b;
  const both = new Float32Array(all * r);
  for (let i = 0; i < all; i++) for (let k = 0; k < own; k++) both[i * r + k] = factor * (b[i * own + k] as number);
  const out = all / module.experts;
  for (const [e, chosen] of rows.entries()) for (const [k, { row }] of chosen.entries()) both[(e * out + row) * r + own + k] = 1 / scale;
  return both;
}
