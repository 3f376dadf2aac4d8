/** Activation functions by their Hugging Face name (`hidden_act`). */
import type { Graph, Node } from '../../graph/graph.ts';
import { dimensions } from '../../graph/types.ts';

export type Activation = (graph: Graph, x: Node) => Node;

/** x · σ(x). */
const silu: Activation = (graph, x) => graph.mul(x, graph.sigmoid(x));

/** x · Φ(x), exact (with erf); dx = dy · (Φ(x) + x · exp(−x² / 2) / √2π). */
const gelu: Activation = (graph, x) => {
  const below = graph.mul(graph.add(graph.erf(graph.mul(x, Math.SQRT1_2)), 1), 0.5);
  const y = graph.mul(x, below);
  y.custom = {
    inputs: [x],
    rule: ({ dy, value }) => {
      const at = value(x);
      const density = graph.mul(graph.exp(graph.mul(graph.square(at), -0.5)), 1 / Math.sqrt(2 * Math.PI));
      return [graph.mul(dy, graph.add(value(below), graph.mul(at, density)))];
    },
  };
  return y;
};

/** The tanh approximation of GELU (Hendrycks & Gimpel 2016). */
const geluTanh: Activation = (graph, x) => {
  const inner = graph.mul(graph.add(x, graph.mul(graph.mul(graph.square(x), x), 0.044715)), Math.sqrt(2 / Math.PI));
  return graph.mul(graph.mul(x, 0.5), graph.add(graph.tanh(inner), 1));
};

/** log(1 + eˣ), computed without overflow; its slope is σ(x). */
export const softplus: Activation = (graph, x) => {
  const y = graph.add(graph.relu(x), graph.log(graph.add(graph.exp(graph.neg(graph.abs(x))), 1)));
  y.custom = { inputs: [x], rule: ({ dy, value }) => [graph.mul(dy, graph.sigmoid(value(x)))] };
  return y;
};

export const activations: Readonly<Record<string, Activation>> = {
  silu,
  swish: silu,
  gelu,
  gelu_new: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  gelu_fast: geluTanh,
  gelu_accurate: geluTanh,
  gelu_python_tanh: geluTanh,
  gelu_python: gelu,
  // Hendrycks & Gimpel's other approximation.
  quick_gelu: (graph, x) => graph.mul(x, graph.sigmoid(graph.mul(x, 1.702))),
  relu: (graph, x) => graph.relu(x),
  relu2: (graph, x) => graph.square(graph.relu(x)),
  tanh: (graph, x) => graph.tanh(x),
};

/** The other names of Transformers: each is a function of its own, not a misspelling of one above. */
export const otherActivations: readonly string[] = [
  'gelu_10',
  'hardswish',
  'laplace',
  'leaky_relu',
  'linear',
  'mish',
  'prelu',
  'relu6',
  'sigmoid',
  'sqrtsoftplus',
  'xielu',
];

/** Returns the activation with this name. The config reader has already checked the name. */
export function activationOf(name: string): Activation {
  const found = activations[name];
  if (!found) throw new Error(`unknown activation '${name}'`);
  return found;
}

/** Returns activation(gate) · up. @param name of the activation */
export function gatedActivation(name: string): (graph: Graph, gate: Node, up: Node) => Node {
  const activation = activationOf(name);
  return activation === silu ? swiglu : (graph, gate, up) => graph.mul(activation(graph, gate), up);
}

/**
 * silu(gate) · up (Shazeer 2020). With s = σ(gate) and a = gate·s: dup = dy·a, dgate = dy·up·(s + a·(1 − s)).
 * @param gate [rows, features]
 * @param up [rows, features]
 */
export function swiglu(graph: Graph, gate: Node, up: Node): Node {
  const s = graph.sigmoid(gate);
  const a = graph.mul(gate, s);
  const y = graph.mul(a, up);
  y.custom = {
    inputs: [gate, up],
    rule: ({ dy, wants, value }) => {
      const gradUp = wants(1) ? graph.mul(dy, value(a)) : undefined;
      const gradGate = () => {
        const inner = graph.mul(dy, value(up));
        return graph.add(graph.mul(inner, value(s)), graph.node('sigmoidGrad', [value(s), graph.mul(inner, value(gate))], {}));
      };
      return [wants(0) ? gradGate() : undefined, gradUp];
    },
  };
  return y;
}

/**
 * (up + 1) · gate · σ(alpha · gate), with gate clamped to at most `limit` and up to ±`limit` (gpt-oss).
 * @param gateUp [rows, 2 · features], gate and up of each feature alternating
 */
export function clampedSwiglu(graph: Graph, gateUp: Node, { alpha, limit }: { readonly alpha: number; readonly limit: number }): Node {
  const [rows, both] = dimensions(gateUp.shape, 2);
  const pairs = graph.reshape(gateUp, [rows, both / 2, 2]);
  const part = (i: number): Node => graph.reshape(graph.sliceAxis(pairs, 2, i, 1), [rows, both / 2]);
  const gate = graph.minimum(part(0), limit);
  const up = graph.maximum(graph.minimum(part(1), limit), -limit);
  return graph.mul(graph.add(up, 1), graph.mul(gate, graph.sigmoid(graph.mul(gate, alpha))));
}
