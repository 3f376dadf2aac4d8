/** Factors in PEFT's form: the trained ones, and rows or columns written exactly as factors. */

import { isExperts, type ModuleSpec } from '../../model/module-specs.ts';
import { transpose } from '../../model/transpose.ts';
import { isParameterTarget, type PeftContent, type PeftTensor, parameterInMemory, type ToPeftParams } from '../peft-form.ts';
import type { AdapterRank } from '../trained-parts.ts';
import { groupsOf } from './attach.ts';
import { parameterFactors } from './experts-to-peft.ts';
import { acrossGroups, groupOf, mostUsed } from './grouped-factors.ts';
import { columnChange, rowChange } from './row-change.ts';

/**
 * Writes rows of a linear layer, an embedding or a convolution exactly as factors: B selects the rows, A is their change. For columns of a
 * linear layer, A selects the columns and B is their change.
 */
export function factorsToPeft(params: ToPeftParams): PeftContent {
  const { description, tensors } = params.adapter;
  const parts = params.modules
    .filter(module => !isExperts(module))
    .map((module): Factors => {
      const { name } = module;
      const [rows, columns, trained] = [description.rows.get(name), description.columns.get(name), description.lora.get(name)];
      if (columns) return { module, rank: { r: columns.length, alpha: columns.length }, columns, used: [[...columns.keys()]] };
      const used = usedFactors(module, trained?.r ?? 0, rows);
      const r = used.length * mostUsed(used);
      // With rows, the scale is 1, so alpha is r.
      const scale = rows || !trained ? 1 : trained.alpha / trained.r;
      return { module, rank: { r, alpha: scale * r }, rows, trained, used };
    });
  const hasBias = parts.some(({ module, rows, trained }) => trained?.hasBias || (rows && module.bias && tensors.has(module.bias.name)));
  const ofExperts = parameterFactors(params, params.modules.filter(isExperts));
  const targets = [
    ...parts.map(part => targetOf(params, part)),
    ...ofExperts.map(({ target, rank }) => ({ target, rank, isParameter: true })),
  ];
  return {
    tensors: [...parts.flatMap(part => factorTensors(params, part, hasBias)), ...ofExperts.flatMap(each => each.tensors)],
    config: loraConfig(targets, hasBias),
  };
}

interface Target {
  readonly target: string;
  readonly rank: AdapterRank;
  /** True for an entry of `target_parameters`, which is not a module. */
  readonly isParameter: boolean;
}

const targetOf = ({ model }: ToPeftParams, { module, rank }: Factors): Target =>
  isParameterTarget(model, module)
    ? { target: parameterInMemory(module), rank, isParameter: true }
    : { target: module.name, rank, isParameter: false };

function loraConfig(targets: readonly Target[], hasBias: boolean): Record<string, unknown> {
  const first = targets[0]?.rank ?? { r: 1, alpha: 1 };
  const differing = (pick: (rank: AdapterRank) => number) =>
    Object.fromEntries(targets.filter(({ rank }) => pick(rank) !== pick(first)).map(({ target, rank }) => [target, pick(rank)]));
  const named = (isParameter: boolean): string[] =>
    targets.filter(target => target.isParameter === isParameter).map(({ target }) => target);
  const parameters = named(true);
  return {
    peft_type: 'LORA',
    r: first.r,
    lora_alpha: first.alpha,
    rank_pattern: differing(({ r }) => r),
    alpha_pattern: differing(({ alpha }) => alpha),
    target_modules: named(false),
    ...(parameters.length > 0 && { target_parameters: parameters }),
    lora_dropout: 0,
    lora_bias: hasBias,
    init_lora_weights: true,
    use_dora: false,
    use_rslora: false,
  };
}

/** Factors of one module: trained ones, rows written as factors, or both stacked. */
interface Factors {
  readonly module: ModuleSpec;
  readonly rank: AdapterRank;
  readonly rows?: Int32Array;
  /** Trained columns; if present, the factors consist of these alone. */
  readonly columns?: Int32Array;
  /** Rank and alpha of the trained factors, if there are any. */
  readonly trained?: AdapterRank;
  /** Indices of the factors that each group uses; there is one group except for a grouped convolution. */
  readonly used: readonly (readonly number[])[];
}

/** Each group uses the trained factors and those of its own rows. */
function usedFactors(module: ModuleSpec, trained: number, rows: Int32Array = new Int32Array()): number[][] {
  const [groups, out] = [groupsOf(module), module.weight.shape[0] as number];
  const ofAll = Array.from({ length: trained }, (_, k) => k);
  return Array.from({ length: groups }, (_, group) =>
    ofAll.concat([...rows.keys()].filter(k => groupOf(rows[k] as number, out, groups) === group).map(k => trained + k)),
  );
}

/** The tensors of one module, with PEFT's names. */
function factorTensors(params: ToPeftParams, part: Factors, hasBias: boolean): PeftTensor[] {
  const { adapter, weights } = params;
  const { module, rank, rows } = part;
  const { name, weight, kind } = module;
  const [out = 0, ...rest] = weight.shape;
  if (kind === 'embedding') {
    const [a, b] = [`${name}.lora_embedding_A`, `${name}.lora_embedding_B`];
    const features = rest[0] ?? 0;
    // A row belongs to a token, so the two sides are swapped: A selects tokens, B is their change.
    return [
      {
        name: a,
        shape: [rank.r, out],
        values: async () => (rows ? transpose(selector(rows, out), rows.length) : adapter.readFloat32(a)),
      },
      {
        name: b,
        shape: [features, rank.r],
        values: async () => (rows ? transpose(await rowChange(weights, adapter, weight, rows), features) : adapter.readFloat32(b)),
      },
    ];
  }
  const groups = part.used.length;
  const [ofGroup = 0, ...window] = rest;
  const magnitude = `${name}.lora_magnitude_vector`;
  const trainedMagnitude = adapter.tensors.get(magnitude);
  return [
    {
      name: `${name}.lora_A.weight`,
      shape: [rank.r, ofGroup * groups, ...window],
      values: async () => (await bothFactors(params, part)).a,
    },
    {
      name: `${name}.lora_B.weight`,
      shape: [out, rank.r / groups, ...window.map(() => 1)],
      values: async () => (await bothFactors(params, part)).b,
    },
    ...(hasBias ? [{ name: `${name}.lora_B.bias`, shape: [out], values: () => biasChange(params, part) }] : []),
    ...(trainedMagnitude ? [{ ...trainedMagnitude, values: () => adapter.readFloat32(magnitude) }] : []),
  ];
}

async function bothFactors(params: ToPeftParams, part: Factors): Promise<{ a: Float32Array; b: Float32Array }> {
  const own = { a: await factorA(params, part), b: await factorB(params, part) };
  return part.used.length === 1 ? own : acrossGroups(own, ownRank(part), part.used);
}

const ownRank = ({ rows, trained }: Factors): number => (trained?.r ?? 0) + (rows?.length ?? 0);

/** [r, in]: the trained A followed by the changes of the rows; for columns, their selector. */
async function factorA({ weights, adapter }: ToPeftParams, { module, rows, columns, trained }: Factors): Promise<Float32Array> {
  if (columns) return transpose(selector(columns, module.weight.shape[1] as number), columns.length);
  const a = trained ? await adapter.readFloat32(`${module.name}.lora_A.weight`) : new Float32Array();
  return rows ? joined(a, await rowChange(weights, adapter, module.weight, rows)) : a;
}

/**
 * [out, r]: the trained B, multiplied by its scale if rows make the common scale 1, followed by the selector of the rows; for columns,
 * their change.
 */
async function factorB({ weights, adapter }: ToPeftParams, part: Factors): Promise<Float32Array> {
  const { module, rows, columns, trained } = part;
  if (columns) return columnChange(weights, adapter, module.weight, columns);
  const out = module.weight.shape[0] as number;
  const b = trained ? await adapter.readFloat32(`${module.name}.lora_B.weight`) : new Float32Array();
  if (!rows) return b;
  const own = trained?.r ?? 0;
  const scale = trained ? trained.alpha / own : 0;
  const r = ownRank(part);
  const selected = selector(rows, out);
  const both = new Float32Array(out * r);
  for (let i = 0; i < out; i++) {
    for (let k = 0; k < own; k++) both[i * r + k] = scale * (b[i * own + k] as number);
    both.set(selected.subarray(i * rows.length, (i + 1) * rows.length), i * r + own);
  }
  return both;
}

/** The change of the module's bias, divided by the scale: [out]. */
async function biasChange({ weights, adapter }: ToPeftParams, { module, rows, trained, rank }: Factors): Promise<Float32Array> {
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

/** [out, r] with a single 1 per column, at row `rows[k]` in column k. Its transpose selects columns. */
function selector(rows: Int32Array, out: number): Float32Array {
  const b = new Float32Array(out * rows.length);
  rows.forEach((row, k) => {
    b[row * rows.length + k] = 1;
  });
  return b;
}
