/** Learned positions: a table with one row per position, added to the embeddings of the tokens. */

import type { Node } from '../../../graph/graph.ts';
import { dimensions } from '../../../graph/types.ts';
import type { ModuleSpec } from '../../module-specs.ts';
import type { Tracer } from '../../tracer.ts';
import { counting } from '../counting.ts';

export interface CountedFrom {
  readonly batch: number;
  readonly tokens: number;
  /** The row of the first token of every text. */
  readonly first: number;
}

/** Adds rows to x [batch · tokens, width]. All texts count from the same row, so each position is looked up once. */
export function addPositions(tracer: Tracer, table: ModuleSpec, x: Node, { batch, tokens, first }: CountedFrom): Node {
  const { graph } = tracer;
  const position = tracer.embedding(table, counting(graph, first, tokens), tokens);
  return graph.reshape(graph.add(graph.reshape(x, [batch, tokens, x.shape[1] as number]), position), x.shape);
}

/** Adds rows to x [batch · tokens, width]. @param at int32 [batch, tokens]; padding behind a text may be counted beyond the table */
export function addPositionsAt(tracer: Tracer, table: ModuleSpec, x: Node, at: Node): Node {
  const { graph } = tracer;
  const [batch, tokens] = dimensions(at.shape, 2);
  const [rows] = dimensions(table.weight.shape, 2);
  const last = graph.scalar(rows - 1, 'int32');
  return graph.add(x, tracer.embedding(table, graph.reshape(graph.minimum(at, last), [batch * tokens])));
}
