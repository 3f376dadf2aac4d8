/** Reverse-mode differentiation, from seeds back to exactly the requested nodes, with a recompute policy for forward values. */
import { elementAt } from '../narrow.ts';
import type { Graph, Node } from './graph.ts';
import { inputsOf } from './node-store.ts';
import { type Cross, joinCross } from './op-rule.ts';
import { ruleOf } from './op-table.ts';
import { type RecomputePolicy, Rematerializer, sqrtBlocks } from './recompute.ts';
import { GraphError } from './types.ts';

export interface BackwardParams {
  /** The seeds of the backward pass: each node with the gradient of the loss with respect to it. */
  readonly seeds: readonly { readonly node: Node; readonly gradient: Node }[];
  /**
   * The nodes whose gradient is requested. `rows` (int32 [r]) limits it to those rows of a variable: the gradient is [r, …] and the rest is
   * never formed. `cross` limits it to those rows and columns of a variable [out, in]: the gradient is flat, [r, in] followed by [out, c].
   * `columns` (int32 [c]) limits it to those columns of a variable [out, in]: the gradient is [out, c].
   */
  readonly wrt: ReadonlyMap<Node, { readonly rows?: Node; readonly cross?: Cross; readonly columns?: Node }>;
  readonly policy: RecomputePolicy;
  /** Blocks per group under `sqrt`; by default the square root of their number. */
  readonly groupBlocks?: number | undefined;
  /**
   * Called as soon as a gradient is final, while the backward pass is still being built, so that an update can be added there. `value`
   * returns forward values of the current block, kept or recomputed.
   */
  readonly onReady?: (node: Node, gradient: Node, value: (wanted: Node) => Node) => void;
}

/**
 * Builds the backward pass. It runs in the reverse order of the forward pass, so only one block's gradients are alive at a time.
 * @returns the gradient of each requested node that the seeds reach
 * @throws GraphError if a seed's shape differs from its node's
 */
export function backward(graph: Graph, params: BackwardParams): Map<Node, Node> {
  const { seeds, wrt } = params;
  const gradients = new Map<Node, Node>();
  const final = new Map<Node, Node>();
  const forward = graph.nodes.slice();
  const rowsOf = (node: Node): Node | undefined => {
    const target = wrt.get(node);
    if (target) return target.rows;
    return ruleOf(node.op).rowwise ? rowsOf(inputsOf(node, 1)[0]) : undefined;
  };

  graph.within({ phase: 1 }, () => {
    const active = activeNodes(forward, wrt);
    const values = new Rematerializer(graph, params.policy, params.groupBlocks ?? sqrtBlocks(graph.boundaries.length));
    const accumulate = (node: Node, gradient: Node) => {
      const before = gradients.get(node);
      gradients.set(node, before ? graph.add(before, gradient) : gradient);
    };
    for (const { node, gradient } of seeds) {
      // If only chosen rows of a node are requested, the seed covers only those rows.
      const rows = rowsOf(node);
      const expected = rows ? [...rows.shape, ...node.shape.slice(1)] : node.shape;
      if (gradient.shape.join() !== expected.join())
        throw new GraphError(`the seed has the shape [${gradient.shape}]; expected [${expected}]`);
      accumulate(node, gradient);
    }
    for (const node of forward.reverse()) {
      const dy = gradients.get(node);
      if (!dy || !active.has(node)) continue;
      gradients.delete(node);
      if (wrt.has(node)) {
        final.set(node, dy);
        params.onReady?.(node, dy, wanted => values.value(wanted, node.block));
      }
      const inputs = node.custom?.inputs ?? node.inputs;
      const rule = node.custom?.rule ?? ruleOf(node.op).gradient;
      if (!rule || !inputs.some(input => active.has(input))) continue;
      const rowAware = node.custom ? [] : (ruleOf(node.op).rowAware ?? []);
      const passesRows = !node.custom && ruleOf(node.op).rowwise;
      const isActive = (input: Node | undefined): boolean => input !== undefined && active.has(input);
      const found = graph.within({ block: node.block }, () =>
        rule({
          graph,
          node,
          dy,
          wants: i => isActive(inputs[i]),
          rows: i => rowsOf(elementAt(inputs, i)),
          cross: i => wrt.get(elementAt(inputs, i))?.cross,
          value: wanted => values.value(wanted, node.block),
        }),
      );
      found.forEach((gradient, i) => {
        const input = inputs[i];
        if (!gradient || !input || !active.has(input)) return;
        const { cross, columns } = wrt.get(input) ?? {};
        if (columns) {
          const isWhole = gradient.shape[1] === input.shape[1];
          accumulate(input, isWhole ? graph.gather(gradient, columns, 1) : gradient);
          return;
        }
        if (cross) {
          const isWhole = gradient.shape.length > 1;
          accumulate(
            input,
            isWhole ? joinCross(graph, graph.gather(gradient, cross.rows), graph.gather(gradient, cross.columns, 1)) : gradient,
          );
          return;
        }
        const rows = rowsOf(input);
        accumulate(input, rows && !rowAware.includes(i) && !passesRows ? graph.gather(gradient, rows) : gradient);
      });
    }
  });
  return final;
}

/** Returns the nodes through which a gradient can reach a requested node. */
function activeNodes(forward: readonly Node[], wrt: ReadonlyMap<Node, unknown>): Set<Node> {
  const active = new Set<Node>();
  for (const node of forward) {
    const inputs = node.custom?.inputs ?? node.inputs;
    const flows = node.custom !== undefined || ruleOf(node.op).gradient !== null;
    if (wrt.has(node) || (flows && inputs.some(input => active.has(input)))) active.add(node);
  }
  return active;
}
