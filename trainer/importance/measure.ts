/** The measures of importance: for each, what it needs and how a row's score comes about. */
import type { Graph, Node } from '../graph/graph.ts';
import { createRandom, hashSeed } from '../random.ts';

export type MeasureName = 'magnitude' | 'taylor' | 'taylor_row' | 'random';

/** weights: the rows alone. gradients: the gradient of the whole weight. outputs: outputs and their gradients. nothing: a control. */
export type MeasureNeeds = 'weights' | 'gradients' | 'outputs' | 'nothing';

export const measureNeeds: Readonly<Record<MeasureName, MeasureNeeds>> = {
  magnitude: 'weights',
  taylor: 'gradients',
  taylor_row: 'outputs',
  random: 'nothing',
};

/** √(Σ_j w²) of each row. @param weight [rows, …] flattened */
export function magnitude(weight: Float32Array, rows: number): Float32Array {
  const width = weight.length / rows;
  const scores = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    let sum = 0;
    for (let i = row * width; i < (row + 1) * width; i++) sum += (weight[i] as number) ** 2;
    scores[row] = Math.sqrt(sum);
  }
  return scores;
}

/** Uniform in [0, 1), from the seed and the module's name: the control that every measure has to beat. */
export function randomScores(name: string, rows: number, seed: number): Float32Array {
  const random = createRandom(hashSeed(seed, name));
  return Float32Array.from({ length: rows }, () => random.uniform());
}

/** Σ_j |g·w| of each row, [rows]: the first-order change of the loss when single weights go (Molchanov et al. 2019). */
export function taylorElementwise(graph: Graph, weight: Node, gradient: Node): Node {
  const rest = weight.shape.slice(1).map((_, i) => i + 1);
  return graph.sum(graph.abs(graph.mul(gradient, weight)), rest);
}

/**
 * w_iᵀ·∇_{w_i} L of each row, signed, [rows], without a weight gradient: for y = x·Wᵀ + b it is Σ_n g_{n,i}·(y_{n,i} − b_i).
 * @param y output before anything is added to it but the bias, [n, rows]
 * @param dy gradient of the loss towards y, [n, rows]
 */
export function taylorRow(graph: Graph, y: Node, dy: Node, bias: Node | undefined): Node {
  const own = bias ? graph.sub(y, bias) : y;
  return graph.sum(graph.mul(dy, own), [0]);
}
