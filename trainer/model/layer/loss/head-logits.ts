/** The full logits of a language model's head. The loss computes its own, chunk by chunk. */
import type { Graph, Node } from '../../../graph/graph.ts';
import type { CausalModel } from '../../model-spec.ts';
import type { ParameterSpec } from '../../module-specs.ts';
import { product } from '../../product.ts';
import type { Tracer } from '../../tracer.ts';
import { softCap } from '../soft-cap.ts';

/** The tensors of a head, or some of their rows. */
export interface HeadNodes {
  /** [tokens, features], in the element type of products. */
  readonly weight: Node;
  /** [tokens], in float32; added to the products. */
  readonly bias?: Node | undefined;
}

type Head = Pick<CausalModel, 'head' | 'headBias'>;

const biasOf = ({ head, headBias }: Head): ParameterSpec | undefined => headBias?.weight ?? head.bias;

export function headNodes(tracer: Tracer, model: Head): HeadNodes {
  const bias = biasOf(model);
  return { weight: tracer.factor(model.head.weight), bias: bias && tracer.parameter(bias) };
}

/** Which gradient of a parameter is wanted. */
export type RowRequest = 'none' | 'all' | { readonly rows: Node };

/** The gradients of the head that are wanted. */
export interface HeadRequests {
  readonly weight: RowRequest;
  readonly bias?: RowRequest;
}

export function headRequests(model: Head, requestFor: (parameter: ParameterSpec) => RowRequest): HeadRequests {
  const bias = biasOf(model);
  return { weight: requestFor(model.head.weight), ...(bias && { bias: requestFor(bias) }) };
}

/** Some rows of a head. @param ids int32 [tokens] */
export const headRows = (graph: Graph, { weight, bias }: HeadNodes, ids: Node): HeadNodes => ({
  weight: graph.gather(weight, ids),
  bias: bias && graph.gather(bias, ids),
});

/**
 * @param hidden [rows, features]
 * @returns [rows, tokens] in float32
 */
export function headLogits(graph: Graph, { logitCap }: CausalModel, hidden: Node, { weight, bias }: HeadNodes): Node {
  const products = product(graph, weight.dtype, hidden, weight, { transposeB: true });
  const plain = bias ? graph.add(products, bias) : products;
  return logitCap === undefined ? plain : softCap(graph, plain, logitCap).y;
}
