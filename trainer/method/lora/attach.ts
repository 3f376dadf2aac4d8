/**
 * Low-rank adaptation (Hu et al. 2021): y = x·Wᵀ + (alpha / r) · dropout(x)·Aᵀ·Bᵀ, for linear layers and convolutions. For a grouped
 * convolution, the weight has the shape of its file, [out, in / groups, kh, kw]: all groups share the filters of A, so that any rank works
 * and W + (alpha / r)·B·A is a weight of the same convolution. Each expert has factors of its own, as with PEFT's `target_parameters`.
 */

import type { Graph, Node, VariableSpec } from '../../graph/graph.ts';
import type { VariableData } from '../../graph/program.ts';
import { dimensions, elementCount } from '../../graph/types.ts';
import { keepMask, keepScale, masked } from '../../model/layer/dropout.ts';
import type { Model } from '../../model/model-spec.ts';
import { type ConvSpec, expertsOf, isConv, isExperts, type ModuleSpec } from '../../model/module-specs.ts';
import { product, readAs } from '../../model/product.ts';
import type { LinearHook, Tracer } from '../../model/tracer.ts';
import { atLeast, valueFor } from '../../narrow.ts';
import { createRandom, hashSeed } from '../../random.ts';
import { type Attach, type MethodSettings, type Trainable, whole } from '../method.ts';
import { TargetError, type TargetSettings, targetModules, targetsDefault } from '../targets.ts';
import type { LoraRank } from '../trained-parts.ts';
import { startInWeights, withStoredForms } from './principal-start.ts';

export interface LoraPair {
  /** [r, in]; [r, in / groups, kh, kw] for a convolution; [experts · r, in] for experts. */
  readonly a: VariableSpec;
  /** [out, r]; [out, r, 1, 1] for a convolution; [experts · out, r] for experts. */
  readonly b: VariableSpec;
  /** The module's block: see `ModuleSpec`. */
  readonly layer: number;
}

/** The two factors of a module, with PEFT's names and, except for grouped convolutions, PEFT's shapes. */
function loraPair(module: ModuleSpec, r: number): LoraPair {
  const { name, layer, weight } = module;
  const [out, ...rest] = atLeast(weight.shape, 1);
  return {
    a: { name: `${name}.lora_A.weight`, shape: [expertsOf(module) * r, ...rest], dtype: 'float32' },
    b: { name: `${name}.lora_B.weight`, shape: [out, r, ...rest.slice(1).map(() => 1)], dtype: 'float32' },
    layer,
  };
}

/**
 * The targets of a method that multiplies by low-rank factors.
 * @param kinds of modules that the method supports
 * @throws TargetError that lists other modules, if they are requested by name
 */
export function lowRankTargets(
  model: Model,
  settings: TargetSettings,
  method: string,
  kinds: readonly ModuleSpec['kind'][] = ['linear', 'conv'],
  instead = '',
): ModuleSpec[] {
  const modules = targetModules(model, settings);
  const fits = (module: ModuleSpec): boolean => kinds.includes(module.kind) && module.part !== 'head';
  const other = modules.filter(module => !fits(module));
  // `all-linear` means everything that the method supports.
  if (other.length === 0 || (targetsDefault(settings) && other.length < modules.length)) return modules.filter(fits);
  if (targetsDefault(settings))
    throw new TargetError(
      `${method} tunes linear layers of the blocks, and this ${model.family} has none there: spsft, lora, dora and rosa tune convolutions`,
    );
  const names = other.slice(0, 8).map(({ name }) => name);
  throw new TargetError(
    `${method} tunes ${kinds.includes('conv') ? 'linear layers and convolutions' : 'linear layers'} of the blocks${kinds.includes('experts') ? ' and experts' : ''}; target_modules also match ${names.join(', ')}${other.length > 8 ? ` and ${other.length - 8} more` : ''}${instead}`,
  );
}

/** Number of groups of a convolution; otherwise 1. */
export const groupsOf = (module: ModuleSpec): number => (isConv(module) ? module.window.groups : 1);

export interface LowRank {
  readonly pairs: ReadonlyMap<string, LoraPair>;
  readonly lora: ReadonlyMap<string, LoraRank>;
  readonly scale: number;
  readonly rate: number;
  /** LoRA+ (Hayou et al. 2024): the learning rate of B relative to that of A. */
  readonly ratio: number;
}

type LowRankSettings = Pick<MethodSettings, 'rank' | 'loraAlpha' | 'loraDropout' | 'loraPlusRatio'>;

export function lowRankParts(modules: readonly ModuleSpec[], settings: LowRankSettings): LowRank {
  const { rank, loraAlpha, loraDropout, loraPlusRatio } = settings;
  return {
    pairs: new Map(modules.map(module => [module.name, loraPair(module, rank)])),
    lora: new Map(modules.map(module => [module.name, { r: rank, alpha: loraAlpha }])),
    scale: loraAlpha / rank,
    rate: loraDropout,
    ratio: loraPlusRatio,
  };
}

/** Kinds of modules tuned if named. `all-linear` skips experts, as in PEFT. */
const NAMED_KINDS = ['linear', 'conv', 'experts'] as const;

export const attachLora: Attach = (model, settings) => {
  const modules = lowRankTargets(model, settings, 'lora', targetsDefault(settings) ? undefined : NAMED_KINDS);
  const experts = modules.find(isExperts);
  if (experts && settings.loraDropout > 0)
    throw new TargetError(
      `lora_dropout ${settings.loraDropout} is not possible for experts (${experts.name}): PEFT has no dropout there, so set lora_dropout: 0`,
    );
  if (experts && settings.loraStart === 'pissa')
    throw new TargetError(
      `init_lora_weights: pissa is not possible for experts (${experts.name}): PEFT has no such start there, so leave them out of target_modules or set init_lora_weights: kaiming`,
    );
  const parts = lowRankParts(modules, settings);
  const common = { method: 'lora', linearHook: loraHook(parts) } as const;
  if (settings.loraStart === 'kaiming')
    return { ...common, lora: parts.lora, trainables: factors(parts), initial: () => initialPairs(parts, settings.seed) };
  const { lora, derived, taken, storedForms } = startInWeights(modules, parts, settings.rank);
  return { ...common, lora, derived, taken, trainables: withStoredForms(factors(parts), storedForms), initial: () => [] };
};

export const factors = ({ pairs, ratio }: LowRank): Trainable[] =>
  [...pairs.values()].flatMap(({ a, b, layer }) => {
    const batch = `factors of layer ${layer}`;
    return [
      { ...whole(a), batch },
      { ...whole(b), batch, ...(ratio !== 1 && { rateFactor: ratio }) },
    ];
  });

function loraHook(parts: LowRank): LinearHook {
  const product = productOf(parts);
  return (tracer, module, x, y, ids) => {
    const added = product(tracer, module, x, ids);
    if (!added) return y;
    const sum = tracer.graph.add(y, added);
    // The backward pass reads the sum; without this, it would keep both terms.
    sum.kept = true;
    return sum;
  };
}

/**
 * Returns a function that computes scale · dropout(x)·Aᵀ·Bᵀ for a module, in the type of its products, or undefined for a module without
 * factors.
 */
export function productOf({ pairs, scale, rate }: LowRank): (tracer: Tracer, module: ModuleSpec, x: Node, ids?: Node) => Node | undefined {
  const order = new Map([...pairs.keys()].map((name, i) => [name, i]));
  return (tracer, module, x, ids) => {
    const { graph, seed } = tracer;
    const pair = pairs.get(module.name);
    if (!pair) return undefined;
    const drops =
      seed && rate > 0 ? { rate, seed, stream: tracer.hookStream(module, valueFor(order, module.name), order.size) } : undefined;
    const compute = tracer.computeOf(module.weight);
    const dropped = graph.cast(drops ? masked(graph, x, keepMask(graph, x.shape, drops)) : x, compute);
    const [a, b] = [readAs(graph, pair.a, compute), readAs(graph, pair.b, compute)];
    // Dropout's scale is applied between the products, where a row has only r elements.
    const factor = drops ? scale * keepScale(rate) : scale;
    if (isConv(module)) return graph.cast(convProduct(graph, module, { x: dropped, a, b, factor }), 'float32');
    if (isExperts(module) && ids) {
      const ofExperts = { experts: module.experts, transposed: false };
      const inner = graph.within({ cheap: true }, () => graph.expertProduct(dropped, a, ids, ofExperts));
      return graph.cast(graph.expertProduct(scaled(graph, inner, factor), b, ids, ofExperts), 'float32');
    }
    const low = graph.within({ cheap: true }, () => graph.matmul(dropped, a, { transposeB: true }));
    return product(graph, compute, scaled(graph, low, factor), b, { transposeB: true });
  };
}

/** factor · x, in the type of x. */
const scaled = (graph: Graph, x: Node, factor: number): Node => graph.cast(graph.mul(graph.cast(x, 'float32'), factor), x.dtype);

interface ConvProduct {
  readonly x: Node;
  readonly a: Node;
  readonly b: Node;
  readonly factor: number;
}

/** factor · (x ∗ A) ∗ B: the groups of x are convolved as if they were images; the 1 × 1 convolution is a product over the channels. */
function convProduct(graph: Graph, { window }: ConvSpec, { x, a, b, factor }: ConvProduct): Node {
  const { groups } = window;
  const low = graph.within({ cheap: true }, () => graph.conv2d(groupsAsImages(graph, x, groups), a, { ...window, groups: 1 }));
  const inner = scaled(graph, low, factor);
  const [out, r] = dimensions(b.shape, 4);
  const [images, ...places] = atLeast(low.shape.slice(0, -1), 1);
  const batch = images / groups;
  if (groups === 1) {
    const rows = graph.reshape(inner, [elementCount([batch, ...places]), r]);
    return graph.reshape(graph.matmul(rows, graph.reshape(b, [out, r]), { transposeB: true }), [batch, ...places, out]);
  }
  const rows = graph.reshape(inner, [groups, elementCount([batch, ...places]), r]);
  const ofGroups = graph.matmul(rows, graph.reshape(b, [groups, out / groups, r]), { transposeB: true });
  return graph.reshape(graph.transpose(ofGroups, [1, 0, 2]), [batch, ...places, out]);
}

/** [batch, height, width, channels] → [groups · batch, height, width, channels / groups], group by group. */
function groupsAsImages(graph: Graph, x: Node, groups: number): Node {
  if (groups === 1) return x;
  const [batch, height, width, channels] = dimensions(x.shape, 4);
  const apart = graph.transpose(graph.reshape(x, [batch, height, width, groups, channels / groups]), [3, 0, 1, 2, 4]);
  return graph.reshape(apart, [groups * batch, height, width, channels / groups]);
}

/** Initial factors. A: uniform in ±1/√in, which is Kaiming's with a = √5, as in PEFT; B: zeros. */
export function* initialPairs({ pairs }: LowRank, seed: number): Generator<VariableData> {
  for (const { a, b } of pairs.values()) {
    const random = createRandom(hashSeed(seed, a.name));
    const count = elementCount(a.shape);
    const bound = 1 / Math.sqrt(count / (a.shape[0] as number));
    yield { name: a.name, data: Float32Array.from({ length: count }, () => (2 * random.uniform() - 1) * bound) };
    yield { name: b.name, data: 'zeros' };
  }
}
