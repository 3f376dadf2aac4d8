/** Factors as PEFT has them: those that were trained, and rows written as factors, exactly. */

import { encodeFloat32 } from '../../format/float-format.ts';
import type { TensorEntry } from '../../format/safetensors/safetensors-writer.ts';
import { groupsOf } from '../../method/lora/attach.ts';
import { transpose } from '../../method/lora/merge.ts';
import type { AdapterRank } from '../../method/trained-parts.ts';
import type { AnyModel } from '../../model/model-spec.ts';
import type { ModuleSpec, ParameterSpec } from '../../model/module-specs.ts';
import type { WeightSource } from '../../model/weight-source.ts';
import type { Adapter } from '../adapter/adapter.ts';
import { groupOf, toPeft } from '../adapter/grouped-factors.ts';
import { PEFT_PREFIX } from '../adapter/read-peft.ts';

export interface PeftParams {
  readonly model: AnyModel;
  readonly weights: WeightSource;
  readonly adapter: Adapter;
}

/** Factors of one module: those that were trained, rows written as factors, or both one under the other. */
export interface Factors {
  readonly module: ModuleSpec;
  readonly rank: AdapterRank;
  readonly rows?: Int32Array;
  /** The rank and scale of the trained factors, if there are any. */
  readonly trained?: AdapterRank;
  /** For each group the factors that it uses; one group but for a grouped convolution. */
  readonly used: readonly (readonly number[])[];
}

/** Each group uses the trained factors, and of those that rows are written as its own. */
export function usedFactors(module: ModuleSpec, trained: number, rows: Int32Array = new Int32Array()): number[][] {
  const [groups, out] = [groupsOf(module), module.weight.shape[0] as number];
  const ofAll = Array.from({ length: trained }, (_, k) => k);
  return Array.from({ length: groups }, (_, group) =>
    ofAll.concat([...rows.keys()].filter(k => groupOf(rows[k] as number, out, groups) === group).map(k => trained + k)),
  );
}

export const entryOf = (name: string, shape: readonly number[], values: () => Promise<Float32Array>): TensorEntry => ({
  name,
  dtype: 'F32',
  shape,
  data: async () => encodeFloat32(await values(), 'F32'),
});

/** The tensors of one module, under PEFT's names. */
export function factorEntries(params: PeftParams, part: Factors, hasBias: boolean): TensorEntry[] {
  const { adapter, weights } = params;
  const { module, rank, rows } = part;
  const { name, weight, kind } = module;
  const [out = 0, ...rest] = weight.shape;
  if (kind === 'embedding') {
    const infix = `${PEFT_PREFIX}${name}.lora_embedding_`;
    // A row is a token, so the two sides change places: A selects tokens, B is their change.
    const own = (factor: string) => () => adapter.readFloat32(`${name}.lora_embedding_${factor}`);
    return [
      entryOf(`${infix}A`, [rank.r, out], rows ? async () => transpose(selector(rows, out), rows.length) : own('A')),
      entryOf(
        `${infix}B`,
        [rest[0] ?? 0, rank.r],
        rows ? async () => transpose(await rowChange(weights, adapter, module.weight, rows), rest[0] ?? 0) : own('B'),
      ),
    ];
  }
  const groups = part.used.length;
  const [ofGroup = 0, ...window] = rest;
  const entries = [
    entryOf(`${PEFT_PREFIX}${name}.lora_A.weight`, [rank.r, ofGroup * groups, ...window], async () => (await bothFactors(params, part)).a),
    entryOf(
      `${PEFT_PREFIX}${name}.lora_B.weight`,
      [out, rank.r / groups, ...window.map(() => 1)],
      async () => (await bothFactors(params, part)).b,
    ),
  ];
  if (hasBias) entries.push(entryOf(`${PEFT_PREFIX}${name}.lora_B.bias`, [out], () => biasChange(params, part)));
  const magnitude = `${name}.lora_magnitude_vector`;
  if (adapter.tensors.has(magnitude))
    entries.push(entryOf(PEFT_PREFIX + magnitude, adapter.tensors.get(magnitude)?.shape ?? [], () => adapter.readFloat32(magnitude)));
  return entries;
}

async function bothFactors(params: PeftParams, part: Factors): Promise<{ a: Float32Array; b: Float32Array }> {
  const own = { a: await factorA(params, part), b: await factorB(params, part) };
  return part.used.length === 1 ? own : toPeft(own, ownRank(part), part.used);
}

const ownRank = ({ rows, trained }: Factors): number => (trained?.r ?? 0) + (rows?.length ?? 0);

/** [r, in]: the trained A, and under it the change of the rows. */
async function factorA({ weights, adapter }: PeftParams, { module, rows, trained }: Factors): Promise<Float32Array> {
  const a = trained ? await adapter.readFloat32(`${module.name}.lora_A.weight`) : new Float32Array();
  return rows ? joined(a, await rowChange(weights, adapter, module.weight, rows)) : a;
}

/** [out, r]: the trained B, scaled where rows make the common scale 1, followed by the selector of the rows. */
async function factorB({ adapter }: PeftParams, part: Factors): Promise<Float32Array> {
  const { module, rows, trained } = part;
  const out = module.weight.shape[0] as number;
  const b = trained ? await adapter.readFloat32(`${module.name}.lora_B.weight`) : new Float32Array();
  if (!rows) return b;
  const own = trained?.r ?? 0;
  const r = ownRank(part);
  const selected = selector(rows, out);
  const both = new Float32Array(out * r);
  for (let i = 0; i < out; i++) {
    for (let k = 0; k < own; k++) both[i * r + k] = ((trained as AdapterRank).alpha / own) * (b[i * own + k] as number);
    both.set(selected.subarray(i * rows.length, (i + 1) * rows.length), i * r + own);
  }
  return both;
}

/** The change of the module's bias, divided by the scale: [out]. */
async function biasChange({ weights, adapter }: PeftParams, { module, rows, trained, rank }: Factors): Promise<Float32Array> {
  const change = new Float32Array(module.weight.shape[0] as number);
  if (trained?.hasBias) return adapter.readFloat32(`${module.name}.lora_B.bias`);
  if (!rows || !module.bias || !adapter.tensors.has(module.bias.name)) return change;
  const moved = await rowChange(weights, adapter, module.bias, rows);
  rows.forEach((row, i) => {
    change[row] = ((moved[i] as number) * rank.r) / rank.alpha;
  });
  return change;
}

const joined = (a: Float32Array, b: Float32Array): Float32Array => {
  const both = new Float32Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
};

/** Trained minus base rows, [r, …]. */
async function rowChange(weights: WeightSource, adapter: Adapter, { name }: ParameterSpec, rows: Int32Array): Promise<Float32Array> {
  const base = await weights.readFloat32(name);
  const trained = await adapter.readFloat32(name);
  const width = trained.length / rows.length;
  return trained.map((value, i) => value - (base[(rows[Math.floor(i / width)] as number) * width + (i % width)] as number));
}

/** [out, r] with one 1 a column: column k is the row `rows[k]`. */
function selector(rows: Int32Array, out: number): Float32Array {
  const b = new Float32Array(out * rows.length);
  rows.forEach((row, k) => {
    b[row * rows.length + k] = 1;
  });
  return b;
}
