/** Low-rank factors of a weight: their tensors in an adapter, how they are merged, and how they are computed unmerged. */
import { expertsOf, type ModuleSpec } from '../../model/module-specs.ts';
import { transpose } from '../../model/transpose.ts';
import { combine } from '../combine.ts';
import type { AddedTensors } from '../method.ts';
import { targetExactly } from '../targets.ts';
import type { AdapterRank, ExpectedTensor, LoraRank, PartsDescription, TrainedParts } from '../trained-parts.ts';
import { addProduct } from './add-product.ts';
import { attachLora, groupsOf } from './attach.ts';

export const addedFactors: AddedTensors = {
  tensorEnds: ['lora_A.weight', 'lora_B.weight', 'lora_B.bias', 'lora_embedding_A', 'lora_embedding_B'],
  expected: (parts, module, problems) =>
    module.kind === 'embedding' ? embeddingTensors(parts, module) : factorTensors(parts, module, problems),
  merger: adapter => (module, isBias) => {
    const rank = adapter.description.lora.get(module);
    if (!rank) return undefined;
    if (!isBias) return weight => addFactors(weight, adapter, module, rank);
    return rank.hasBias ? async bias => addBias(bias, await adapter.readFloat32(`${module}.lora_B.bias`), rank) : undefined;
  },
  unmerged: {
    modulesOf: (model, { description: { lora } }) =>
      new Set(
        model.modules
          .filter(module => isUngrouped(module) && lora.has(module.name) && !lora.get(module.name)?.hasBias)
          .map(({ name }) => name),
      ),
    attach: (model, { description: { lora, method } }, modules) => {
      // One attachment per pair of rank and alpha, since a PEFT adapter may have several.
      const groups = new Map<string, LoraRank & { modules: string[] }>();
      for (const [module, { r, alpha }] of lora) {
        if (!modules.has(module)) continue;
        const key = `${r} ${alpha}`;
        const group = groups.get(key) ?? { r, alpha, modules: [] };
        groups.set(key, group);
        group.modules.push(module);
      }
      const parts = [...groups.values()].map(({ r, alpha, modules: own }) =>
        attachLora(model, { ...UNTRAINED, targetModules: own.map(targetExactly), rank: r, loraAlpha: alpha }, new Map()),
      );
      return combine(method, parts);
    },
  },
};

/** Settings of an attachment that trains nothing. */
export const UNTRAINED = {
  freeze: [],
  budget: { r: 1 },
  trains: 'rows',
  sparseRatio: 0,
  loraAlpha: 1,
  loraPlusRatio: 1,
  loraDropout: 0,
  loraStart: 'kaiming',
  vera: { projectionKey: 0, dInitial: 0 },
  seed: 0,
} as const;

/** True for a module whose factors may stay unmerged: a grouped convolution would need one product per group. */
export const isUngrouped = (module: ModuleSpec): boolean =>
  (module.kind === 'linear' || module.kind === 'conv') && module.part !== 'head' && groupsOf(module) === 1;

function embeddingTensors({ lora }: PartsDescription, { name, weight }: ModuleSpec): ExpectedTensor[] {
  const rank = lora.get(name);
  const [tokens = 0, features = 0] = weight.shape;
  if (!rank) return [];
  return [
    { name: `${name}.lora_embedding_A`, shape: [rank.r, tokens] },
    { name: `${name}.lora_embedding_B`, shape: [features, rank.r] },
  ];
}

/** The tensors of the factors for a linear layer, a convolution or a stack of experts. */
export function factorTensors({ lora }: PartsDescription, module: ModuleSpec, problems: string[]): ExpectedTensor[] {
  const { name, kind, weight } = module;
  const rank = lora.get(name);
  if (!rank) return [];
  if (kind !== 'linear' && kind !== 'conv' && kind !== 'experts') {
    problems.push(`${name} is not a linear layer, a convolution or a stack of experts`);
    return [];
  }
  const [out = 0, ...rest] = weight.shape;
  return [
    { name: `${name}.lora_A.weight`, shape: [expertsOf(module) * rank.r, ...rest] },
    { name: `${name}.lora_B.weight`, shape: [out, rank.r, ...rest.slice(1).map(() => 1)] },
    ...(rank.hasBias ? [{ name: `${name}.lora_B.bias`, shape: [out] }] : []),
  ];
}

export async function addFactors(weight: Float32Array, adapter: TrainedParts, module: string, rank: AdapterRank): Promise<Float32Array> {
  if (adapter.tensors.has(`${module}.lora_embedding_A`)) {
    const [a, b] = [await adapter.readFloat32(`${module}.lora_embedding_A`), await adapter.readFloat32(`${module}.lora_embedding_B`)];
    // Each row of an embedding belongs to a token: W + s·(B·A)ᵀ = W + s·Aᵀ·Bᵀ.
    return addProduct(weight, transpose(b, rank.r), transpose(a, a.length / rank.r), rank);
  }
  const [a, b] = [await adapter.readFloat32(`${module}.lora_A.weight`), await adapter.readFloat32(`${module}.lora_B.weight`)];
  const experts = (adapter.tensors.get(`${module}.lora_A.weight`)?.shape[0] ?? rank.r) / rank.r;
  const part = (x: Float32Array, expert: number): Float32Array =>
    x.subarray((expert * x.length) / experts, ((expert + 1) * x.length) / experts);
  for (let expert = 0; expert < experts; expert++) addProduct(part(weight, expert), part(a, expert), part(b, expert), rank);
  return weight;
}

const addBias = (bias: Float32Array, added: Float32Array, { r, alpha }: AdapterRank): Float32Array =>
  bias.map((value, i) => value + (alpha / r) * (added[i] as number));
