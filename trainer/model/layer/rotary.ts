/** Rotary position embedding (Su et al. 2021) with the scalings of Llama 3, linear, dynamic-free; in Hugging Face's half-split layout. */
import type { Graph, Node } from '../../graph/graph.ts';

/** `rope_type` and its numbers, as config.json has them. */
export type RopeScaling =
  | { readonly type: 'default' }
  | { readonly type: 'linear'; readonly factor: number }
  | {
      readonly type: 'llama3';
      readonly factor: number;
      readonly lowFreqFactor: number;
      readonly highFreqFactor: number;
      readonly originalMaxPositions: number;
    };

/** How one block turns queries and keys. */
export interface Positions {
  readonly theta: number;
  readonly scaling: RopeScaling;
}

/** Angular frequency of each of the headDim / 2 pairs, in radians a position. */
export function ropeFrequencies(headDim: number, theta: number, scaling: RopeScaling): Float64Array {
  const plain = Float64Array.from({ length: headDim / 2 }, (_, i) => theta ** ((-2 * i) / headDim));
  switch (scaling.type) {
    case 'default':
      return plain;
    case 'linear':
      return plain.map(f => f / scaling.factor);
    case 'llama3':
      return plain.map(f => llama3Frequency(f, scaling));
  }
}

/** Long wavelengths are stretched by `factor`, short ones are kept, those between are blended (Llama 3.1's rule, as in Transformers). */
function llama3Frequency(frequency: number, scaling: Extract<RopeScaling, { type: 'llama3' }>): number {
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = scaling;
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength > originalMaxPositions / lowFreqFactor) return frequency / factor;
  if (wavelength < originalMaxPositions / highFreqFactor) return frequency;
  const smooth = (originalMaxPositions / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}

export interface RotaryTables {
  /** Both [positions, headDim / 2], or [batch, 1, positions, headDim / 2] where each sequence has positions of its own. */
  readonly cos: Node;
  readonly sin: Node;
}

/** Tables for the positions 0 … count − 1. */
export function rotaryTables(graph: Graph, frequencies: Float64Array, count: number): RotaryTables {
  const half = frequencies.length;
  const table = (of: (angle: number) => number): Node =>
    graph.lazyConstant([count, half], () => {
      const values = new Float32Array(count * half);
      // Transformers forms the angle in float32; the same rounding keeps long positions equal.
      for (let p = 0; p < count; p++)
        for (let i = 0; i < half; i++) values[p * half + i] = of(Math.fround(p * Math.fround(frequencies[i] as number)));
      return values;
    });
  return { cos: table(Math.cos), sin: table(Math.sin) };
}

/** Tables for positions that are only known at run time, int32 [batch, tokens]. */
export function rotaryTablesAt(graph: Graph, frequencies: Float64Array, positions: Node): RotaryTables {
  const [batch = 1, tokens = 1] = positions.shape;
  const row = graph.constant(Float32Array.from(frequencies), [1, frequencies.length], 'float32');
  const angles = graph.reshape(graph.mul(graph.cast(graph.reshape(positions, [batch * tokens, 1]), 'float32'), row), [
    batch,
    1,
    tokens,
    frequencies.length,
  ]);
  return { cos: graph.cos(angles), sin: graph.sin(angles) };
}

/**
 * Rotates x [batch, heads, tokens, headDim]: (x₁, x₂) → (x₁·cos − x₂·sin, x₂·cos + x₁·sin).
 * A rotation is orthogonal, so its gradient is the rotation back.
 */
export function rotate(graph: Graph, x: Node, { cos, sin }: RotaryTables, backwards = false): Node {
  const half = (x.shape.at(-1) as number) / 2;
  const first = graph.sliceAxis(x, -1, 0, half);
  const second = graph.sliceAxis(x, -1, half, half);
  const [a, b] = backwards ? ([graph.add, graph.sub] as const) : ([graph.sub, graph.add] as const);
  const y = graph.concat([a(graph.mul(first, cos), graph.mul(second, sin)), b(graph.mul(second, cos), graph.mul(first, sin))], -1);
  if (!backwards) y.custom = { inputs: [x], rule: ({ dy }) => [rotate(graph, dy, { cos, sin }, true)] };
  return y;
}
