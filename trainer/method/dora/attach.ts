/**
 * Weight-decomposed low-rank adaptation (Liu et al. 2024): with V = W + (alpha / r)·B·A, y = m ∘ (x·Vᵀ) / ‖V‖ + b, with one magnitude m and
 * one norm per row, for linear layers and convolutions. As in PEFT, the norm is a constant for the gradient. Dropout applies only to the
 * input of the low-rank product. PEFT also applies it to the remaining (m / ‖V‖ − 1)·x·Wᵀ, which has the same mean and costs a second
 * product with W.
 */

import type { Graph, Node, VariableSpec } from '../../graph/graph.ts';
import type { VariableData } from '../../graph/program.ts';
import { elementCount } from '../../graph/types.ts';
import { sumRows } from '../../model/layer/norm.ts';
import type { ModuleSpec } from '../../model/module-specs.ts';
import type { LinearHook, Tracer } from '../../model/tracer.ts';
import { factors, initialPairs, type LoraPair, type LowRank, lowRankParts, lowRankTargets, productOf } from '../lora/attach.ts';
import { type Attach, whole } from '../method.ts';

/** m, [out], or [1, out, 1, 1] for a convolution, with PEFT's name and shape. */
export const magnitudeOf = ({ name, weight: { shape } }: Pick<ModuleSpec, 'name' | 'weight'>): VariableSpec => ({
  name: `${name}.lora_magnitude_vector`,
  shape: shape.length > 2 ? [1, shape[0] as number, ...shape.slice(2).map(() => 1)] : [shape[0] as number],
  dtype: 'float32',
});

/** ‖W‖² of each row, [out]. W is frozen, so it is computed once. */
const squareOf = ({ name, weight }: ModuleSpec): VariableSpec => ({
  name: `${name}.weight_square`,
  shape: [weight.shape[0] as number],
  dtype: 'float32',
});

export const attachDora: Attach = (model, settings) => {
  const modules = lowRankTargets(model, settings, 'dora');
  const parts = lowRankParts(modules, settings);
  const byWeight = new Map(modules.map(module => [module.weight.name, module]));
  return {
    method: 'dora',
    lora: parts.lora,
    trainables: [...factors(parts), ...modules.map(module => whole(magnitudeOf(module)))],
    frozen: modules.map(squareOf),
    linearHook: doraHook(parts),
    initial: () => initialPairs(parts, settings.seed),
    *derived(weight) {
      const module = byWeight.get(weight.name);
      if (module) yield* rowNorms(module, weight);
    },
  };
};

/** The initial magnitudes: since B starts at 0, they are the norms of the rows of W. */
function* rowNorms(module: ModuleSpec, { data }: VariableData): Generator<VariableData> {
  const rows = module.weight.shape[0] as number;
  const squares = new Float64Array(rows);
  if (data !== 'zeros') {
    const width = data.length / rows;
    for (let row = 0; row < rows; row++) {
      let sum = 0;
      for (let i = row * width; i < (row + 1) * width; i++) sum += (data[i] as number) ** 2;
      squares[row] = sum;
    }
  }
  yield { name: squareOf(module).name, data: Float32Array.from(squares) };
  yield { name: magnitudeOf(module).name, data: Float32Array.from(squares, Math.sqrt) };
}

function doraHook(parts: LowRank): LinearHook {
  const product = productOf(parts);
  return (tracer, module, x, y) => {
    const added = product(tracer, module, x);
    const pair = parts.pairs.get(module.name);
    if (!added || !pair) return y;
    const { graph } = tracer;
    const bias = module.bias && tracer.parameter(module.bias);
    const sum = graph.add(bias ? graph.sub(y, bias) : y, added);
    // The gradient of m reads the sum, and the next operation only multiplies it by one factor per column.
    sum.kept = true;
    const inverse = inverseNorm(tracer, module, pair, parts.scale);
    const m = graph.reshape(graph.read(magnitudeOf(module)), inverse.shape);
    const scaled = rescale(graph, sum, m, inverse);
    return bias ? graph.add(scaled, bias) : scaled;
  };
}

/**
 * 1 / ‖W + s·B·A‖ of each row, [out], without computing that matrix: with C = W·Aᵀ and G = A·Aᵀ, ‖w + s·b·A‖² = ‖w‖² + Σ b ∘ (2s·C +
 * s²·b·G). It takes one product with r columns. It is outside the blocks, as one value per row costs almost no memory to keep.
 */
function inverseNorm(tracer: Tracer, module: ModuleSpec, pair: LoraPair, s: number): Node {
  const { graph } = tracer;
  return graph.within({ block: -1 }, () => {
    const asMatrix = (x: Node): Node => graph.reshape(x, [x.shape[0] as number, elementCount(x.shape.slice(1))]);
    const [a, b] = [asMatrix(graph.read(pair.a)), asMatrix(graph.read(pair.b))];
    const weight = asMatrix(tracer.parameter(module.weight));
    const cross = graph.mul(graph.matmul(weight, a, { transposeB: true }), 2 * s);
    const own = graph.mul(graph.matmul(b, graph.matmul(a, a, { transposeB: true })), s * s);
    const change = graph.sum(graph.mul(b, graph.add(cross, own)), [1]);
    return graph.rsqrt(graph.maximum(graph.add(graph.read(squareOf(module)), change), SMALLEST_SQUARE));
  });
}

/** Smallest squared norm. A row of zeros has no direction: its output stays 0 instead of becoming 0 / 0. */
const SMALLEST_SQUARE = 1e-30;

/**
 * y ∘ m ∘ inverse, where inverse is a constant for the gradient: dy ↦ dy ∘ m ∘ inverse, dm = inverse ∘ Σ dy ∘ y.
 * @param y [rows, out], or [batch, height, width, out] for a convolution @param m [out] @param inverse [out]
 */
function rescale(graph: Graph, y: Node, m: Node, inverse: Node): Node {
  const factor = graph.within({ block: -1 }, () => graph.mul(m, inverse));
  const scaled = graph.mul(y, factor);
  scaled.custom = {
    inputs: [y, m],
    rule: ({ dy, wants, value }) => [
      wants(0) ? graph.mul(dy, value(factor)) : undefined,
      wants(1) ? graph.mul(sumRows(graph, graph.mul(dy, value(y))), value(inverse)) : undefined,
    ],
  };
  return scaled;
}
