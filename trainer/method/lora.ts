/** Low-rank adaptation (Hu et al. 2021): y = x·Wᵀ + (alpha / r) · dropout(x)·Aᵀ·Bᵀ, of linear layers and convolutions. */
import type { Node, VariableSpec } from '../graph/graph.ts';
import type { VariableData } from '../graph/program.ts';
import { keepMask, keepScale, masked } from '../model/layer/dropout.ts';
import type { ConvSpec, Model, ModuleSpec } from '../model/model-spec.ts';
import type { LinearHook, Tracer } from '../model/tracer.ts';
import { createRandom, hashSeed } from '../random.ts';
import { type Attach, type LoraRank, type Trainable, whole } from './method.ts';
import { TargetError, type TargetSettings, targetModules, targetsDefault } from './targets.ts';

export interface LoraPair {
  /** [r, in]; of a convolution [r, in, kh, kw]. */
  readonly a: VariableSpec;
  /** [out, r]; of a convolution [out, r, 1, 1]. */
  readonly b: VariableSpec;
}

/** The two factors of a module, under PEFT's names and of PEFT's shapes. */
function loraPair({ name, weight: { shape } }: ModuleSpec, r: number): LoraPair {
  const [out, ...rest] = shape as [number, ...number[]];
  return {
    a: { name: `${name}.lora_A.weight`, shape: [r, ...rest], dtype: 'float32' },
    b: { name: `${name}.lora_B.weight`, shape: [out, r, ...rest.slice(1).map(() => 1)], dtype: 'float32' },
  };
}

/**
 * The targets of a method that multiplies by low-rank factors.
 * @param kinds of modules that it can take
 * @throws TargetError that names the others, where they are asked for by name
 */
export function lowRankTargets(
  model: Model,
  settings: TargetSettings,
  method: string,
  kinds: readonly ModuleSpec['kind'][] = ['linear', 'conv'],
): ModuleSpec[] {
  const modules = targetModules(model, settings);
  const fits = (module: ModuleSpec): boolean => kinds.includes(module.kind) && module.part !== 'head' && !isGrouped(module);
  const other = modules.filter(module => !fits(module));
  // `all-linear` asks for what the method can take.
  if (other.length === 0 || (targetsDefault(settings) && other.length < modules.length)) return modules.filter(fits);
  if (targetsDefault(settings))
    throw new TargetError(
      `${method} tunes linear layers of the blocks, and this ${model.family} has none there: spsft, lora and rosa tune convolutions`,
    );
  const names = other.slice(0, 8).map(module => (isGrouped(module) ? `${module.name} (grouped)` : module.name));
  throw new TargetError(
    `${method} tunes ${kinds.includes('conv') ? 'linear layers and ungrouped convolutions' : 'linear layers'} of the blocks; target_modules also match ${names.join(', ')}${other.length > 8 ? ` and ${other.length - 8} more` : ''}`,
  );
}

const isConv = (module: ModuleSpec): module is ConvSpec => module.kind === 'conv';
export const isGrouped = (module: ModuleSpec): boolean => isConv(module) && module.window.groups > 1;

export interface LowRank {
  readonly pairs: ReadonlyMap<string, LoraPair>;
  readonly lora: ReadonlyMap<string, LoraRank>;
  readonly scale: number;
  readonly rate: number;
}

export function lowRankParts(modules: readonly ModuleSpec[], settings: { rank: number; loraAlpha: number; loraDropout: number }): LowRank {
  const { rank, loraAlpha, loraDropout } = settings;
  return {
    pairs: new Map(modules.map(module => [module.name, loraPair(module, rank)])),
    lora: new Map(modules.map(module => [module.name, { r: rank, alpha: loraAlpha }])),
    scale: loraAlpha / rank,
    rate: loraDropout,
  };
}

export const attachLora: Attach = (model, settings) => {
  const parts = lowRankParts(lowRankTargets(model, settings, 'lora'), settings);
  return {
    method: 'lora',
    lora: parts.lora,
    trainables: factors(parts),
    linearHook: loraHook(parts),
    initial: () => initialPairs(parts, settings.seed),
  };
};

export const factors = ({ pairs }: LowRank): Trainable[] => [...pairs.values()].flatMap(({ a, b }) => [whole(a), whole(b)]);

function loraHook(parts: LowRank): LinearHook {
  const product = productOf(parts);
  return (tracer, module, x, y) => {
    const added = product(tracer, module, x);
    if (!added) return y;
    const sum = tracer.graph.add(y, added);
    // The sum is what the backward pass reads; without this, both parts of it would be kept.
    sum.kept = true;
    return sum;
  };
}

/** Gives scale · dropout(x)·Aᵀ·Bᵀ of a module, and nothing for a module that has no factors. */
export function productOf({ pairs, scale, rate }: LowRank): (tracer: Tracer, module: ModuleSpec, x: Node) => Node | undefined {
  const order = new Map([...pairs.keys()].map((name, i) => [name, i]));
  return ({ graph, seed }, module, x) => {
    const pair = pairs.get(module.name);
    if (!pair) return undefined;
    const drops = seed && rate > 0 ? { rate, seed, stream: order.get(module.name) as number } : undefined;
    const dropped = drops ? masked(graph, x, keepMask(graph, x.shape, drops)) : x;
    const [a, b] = [graph.read(pair.a), graph.read(pair.b)];
    const low = graph.within({ cheap: true }, () =>
      isConv(module) ? graph.conv2d(dropped, a, { ...module.window, groups: 1 }) : graph.matmul(dropped, a, { transposeB: true }),
    );
    // What is not dropped is scaled up here, where it takes r numbers a row.
    const scaled = graph.mul(low, drops ? scale * keepScale(rate) : scale);
    if (!isConv(module)) return graph.matmul(scaled, b, { transposeB: true });
    // A convolution by 1 × 1 is a product over the channels.
    const [out, r] = b.shape as [number, number];
    const places = low.shape.slice(0, -1);
    const rows = graph.reshape(scaled, [places.reduce((n, d) => n * d, 1), r]);
    return graph.reshape(graph.matmul(rows, graph.reshape(b, [out, r]), { transposeB: true }), [...places, out]);
  };
}

/** A: uniform in ±1/√in, as Kaiming's with a = √5, which PEFT uses; B: zeros. */
export function* initialPairs({ pairs }: LowRank, seed: number): Generator<VariableData> {
  for (const { a, b } of pairs.values()) {
    const random = createRandom(hashSeed(seed, a.name));
    const count = a.shape.reduce((n, d) => n * d, 1);
    const bound = 1 / Math.sqrt(count / (a.shape[0] as number));
    yield { name: a.name, data: Float32Array.from({ length: count }, () => (2 * random.uniform() - 1) * bound) };
    yield { name: b.name, data: 'zeros' };
  }
}
