/** Low-rank adaptation (Hu et al. 2021): y = x·Wᵀ + (alpha / r) · dropout(x)·Aᵀ·Bᵀ. */
import type { VariableSpec } from '../graph/graph.ts';
import type { VariableData } from '../graph/program.ts';
import { dropout } from '../model/layer/dropout.ts';
import type { ModuleSpec } from '../model/model-spec.ts';
import type { LinearHook } from '../model/tracer.ts';
import { createRandom, hashSeed } from '../random.ts';
import type { Attach, Trainable } from './method.ts';
import { TargetError, targetModules } from './targets.ts';

export interface LoraPair {
  /** [r, in]. */
  readonly a: VariableSpec;
  /** [out, r]. */
  readonly b: VariableSpec;
}

/** The two factors of a module, under PEFT's names. */
export function loraPair(module: ModuleSpec, r: number): LoraPair {
  const [out, width] = module.weight.shape as [number, number];
  return {
    a: { name: `${module.name}.lora_A.weight`, shape: [r, width], dtype: 'float32' },
    b: { name: `${module.name}.lora_B.weight`, shape: [out, r], dtype: 'float32' },
  };
}

export const attachLora: Attach = (model, settings) => {
  if (!('r' in settings.budget)) throw new TargetError('lora takes a rank r, not a ratio');
  const { r } = settings.budget;
  const modules = targetModules(model, settings);
  const other = modules.filter(module => module.kind !== 'linear' || module.part === 'head');
  if (other.length > 0)
    throw new TargetError(`lora tunes linear layers of the blocks; target_modules also match ${other.map(({ name }) => name).join(', ')}`);
  const pairs = new Map(modules.map(module => [module.name, loraPair(module, r)]));
  const whole = (variable: VariableSpec): Trainable => ({ name: variable.name, variable, shape: variable.shape });
  return {
    method: 'lora',
    trainables: [...pairs.values()].flatMap(({ a, b }) => [whole(a), whole(b)]),
    linearHook: loraHook(pairs, settings.loraAlpha / r, settings.loraDropout),
    initial: () => initialPairs(pairs, settings.seed),
  };
};

function loraHook(pairs: ReadonlyMap<string, LoraPair>, scale: number, rate: number): LinearHook {
  const order = new Map([...pairs.keys()].map((name, i) => [name, i]));
  return (tracer, module, x, y) => {
    const pair = pairs.get(module.name);
    if (!pair) return y;
    const { graph, seed } = tracer;
    const dropped = seed && rate > 0 ? dropout(graph, x, { rate, seed, stream: order.get(module.name) as number }) : x;
    const low = graph.within({ cheap: true }, () => graph.matmul(dropped, graph.read(pair.a), { transposeB: true }));
    const product = graph.matmul(graph.mul(low, scale), graph.read(pair.b), { transposeB: true });
    const sum = graph.add(y, product);
    // The sum is what the backward pass reads; without this, both parts of it would be kept.
    sum.kept = true;
    return sum;
  };
}

/** A: uniform in ±1/√in, as Kaiming's with a = √5, which PEFT uses; B: zeros. */
function* initialPairs(pairs: ReadonlyMap<string, LoraPair>, seed: number): Generator<VariableData> {
  for (const { a, b } of pairs.values()) {
    const random = createRandom(hashSeed(seed, a.name));
    const bound = 1 / Math.sqrt(a.shape[1] as number);
    const count = (a.shape[0] as number) * (a.shape[1] as number);
    yield { name: a.name, data: Float32Array.from({ length: count }, () => (2 * random.uniform() - 1) * bound) };
    yield { name: b.name, data: 'zeros' };
  }
}
