/**
 * Vector-based random matrix adaptation (Kopiczko et al. 2024): y = x·Wᵀ + b ∘ ((d ∘ (dropout(x)·Aᵀ))·Bᵀ). A and B are random, frozen and
 * shared by all layers; each layer uses their top left part that fits. The vectors d and b are trained.
 */

import type { Node, VariableSpec } from '../../graph/graph.ts';
import type { VariableData } from '../../graph/program.ts';
import { dimensions } from '../../graph/types.ts';
import { dropout } from '../../model/layer/dropout.ts';
import { sumRows } from '../../model/layer/norm.ts';
import type { ModuleSpec } from '../../model/module-specs.ts';
import { product } from '../../model/product.ts';
import type { LinearHook, Tracer } from '../../model/tracer.ts';
import { lowRankTargets } from '../lora/attach.ts';
import { type Attach, type VeraSettings, whole } from '../method.ts';
import type { VeraShape } from '../trained-parts.ts';
import { torchUniform } from './torch-uniform.ts';

/** The matrices that all layers share. */
export interface VeraProjections {
  /** [r, widest input]. */
  readonly a: VariableSpec;
  /** [widest output, r]. */
  readonly b: VariableSpec;
}

/** The shared matrices, with PEFT's names. */
export const veraProjectionsOf = ({ r, input, output }: Pick<VeraShape, 'r' | 'input' | 'output'>): VeraProjections => ({
  a: { name: 'vera_A', shape: [r, input], dtype: 'float32' },
  b: { name: 'vera_B', shape: [output, r], dtype: 'float32' },
});

/** The shape of the shared matrices: the largest target size in each direction. */
function veraShape(modules: readonly ModuleSpec[], r: number, projectionKey: number): VeraShape {
  const most = (axis: number): number => Math.max(...modules.map(({ weight }) => weight.shape[axis] as number));
  return { r, input: most(1), output: most(0), projectionKey };
}

/** The vectors d [r] and b [out] of a module, with PEFT's names. */
const veraVectors = ({ name, weight }: ModuleSpec, r: number): { readonly d: VariableSpec; readonly b: VariableSpec } => ({
  d: { name: `${name}.vera_lambda_d`, shape: [r], dtype: 'float32' },
  b: { name: `${name}.vera_lambda_b`, shape: [weight.shape[0] as number], dtype: 'float32' },
});

export const attachVera: Attach = (model, settings) => {
  const { rank, vera, loraDropout } = settings;
  const modules = lowRankTargets(model, settings, 'vera', ['linear']);
  const shape = veraShape(modules, rank, vera.projectionKey);
  const projections = veraProjectionsOf(shape);
  const vectors = modules.map(module => veraVectors(module, rank));
  return {
    method: 'vera',
    vera: shape,
    trainables: vectors.flatMap(({ d, b }) => [whole(d), whole(b)]),
    frozen: [projections.a, projections.b],
    linearHook: veraHook(modules, projections, loraDropout),
    *initial() {
      yield* projectionValues(projections, vera.projectionKey);
      for (const { d, b } of vectors) {
        yield { name: d.name, data: new Float32Array(rank).fill(vera.dInitial) };
        yield { name: b.name, data: 'zeros' };
      }
    },
  };
};

/** Kaiming's uniform distribution with a gain of √2, A before B, from PyTorch's generator: PEFT draws the same values for a key. */
export function* projectionValues(
  { a, b }: VeraProjections,
  key: VeraSettings['projectionKey'],
): Generator<VariableData & { readonly data: Float32Array }> {
  const random = torchUniform(key);
  for (const { name, shape } of [a, b]) {
    const [rows, width] = dimensions(shape, 2);
    yield { name, data: random.fill(rows * width, Math.sqrt(6 / width)) };
  }
}

function veraHook(modules: readonly ModuleSpec[], projections: VeraProjections, rate: number): LinearHook {
  const order = new Map(modules.map((module, i) => [module.name, i]));
  return (tracer, module, x, y) => {
    const { graph, seed } = tracer;
    const place = order.get(module.name);
    if (place === undefined) return y;
    const dropped = seed && rate > 0 ? dropout(graph, x, { rate, seed, stream: tracer.hookStream(module, place, order.size) }) : x;
    const sum = graph.add(y, veraProduct(tracer, module, projections, dropped));
    sum.kept = true;
    return sum;
  };
}

/**
 * b ∘ ((d ∘ l)·Bᵀ) with l = x·Aᵀ. With t = (dy ∘ b)·B: dd = Σ t ∘ l, dx = (t ∘ d)·A, and db = Σ_r (dyᵀ·(d ∘ l)) ∘ B, so that the product is
 * neither kept nor recomputed.
 */
function veraProduct(tracer: Tracer, module: ModuleSpec, projections: VeraProjections, x: Node): Node {
  const { graph } = tracer;
  const compute = tracer.computeOf(module.weight);
  const [out, width] = dimensions(module.weight.shape, 2);
  const r = projections.a.shape[0] as number;
  const vectors = veraVectors(module, r);
  const [d, b] = [graph.read(vectors.d), graph.read(vectors.b)];
  // Sliced again in each pass, so that the backward pass keeps no copy.
  const cornerA = () => graph.slice(graph.read(projections.a), [0, 0], [r, width]);
  const cornerB = () => graph.slice(graph.read(projections.b), [0, 0], [out, r]);
  const low = graph.within({ cheap: true }, () => product(graph, compute, x, cornerA(), { transposeB: true }));
  const added = graph.mul(product(graph, compute, graph.mul(low, d), cornerB(), { transposeB: true }), b);
  added.custom = {
    inputs: [x, d, b],
    rule: ({ dy, wants, value }) => {
      const gradLow = product(graph, compute, graph.mul(dy, b), cornerB());
      const forB = () => graph.sum(graph.mul(product(graph, compute, dy, graph.mul(value(low), d), { transposeA: true }), cornerB()), [1]);
      return [
        wants(0) ? product(graph, compute, graph.mul(gradLow, d), cornerA()) : undefined,
        wants(1) ? sumRows(graph, graph.mul(gradLow, value(low))) : undefined,
        wants(2) ? forB() : undefined,
      ];
    },
  };
  return added;
}
