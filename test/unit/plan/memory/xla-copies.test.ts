/** Tests the copies that XLA for processors holds, as in programs that it compiled for Gemma 3n and MiniLM. */
import { expect, test } from 'vitest';
import { backward } from '../../../../trainer/graph/gradient.ts';
import { Graph, type Node } from '../../../../trainer/graph/graph.ts';
import { assemble } from '../../../../trainer/graph/program.ts';
import { readersIn } from '../../../../trainer/graph/readers.ts';
import { required, valueFor } from '../../../../trainer/narrow.ts';
import { bufferRules } from '../../../../trainer/plan/memory/engine-memory.ts';

const [TOKENS, STREAMS, WIDTH] = [8, 4, 16];

interface Case {
  /** The numbers that each token is multiplied by. */
  readonly by: readonly number[];
  /** True if the products of the gradient are read elsewhere too. */
  readonly isShared?: boolean;
}

/** Returns the sizes of the copies in the gradient of what is changed in every stream, times a number per token and stream. */
function copies({ by, isShared = false }: Case): readonly number[] {
  const graph = new Graph();
  const change = graph.exp(graph.feed('change', [TOKENS, 1, WIDTH]));
  const factors = graph.tanh(graph.feed('factors', by));
  const y = graph.mul(change, factors);
  const found = backward(graph, { seeds: [{ node: y, gradient: graph.sin(y) }], wrt: new Map([[change, {}]]), policy: 'none' });
  const gradient = valueFor(found, change);
  const outputs: Record<string, Node> = { gradient };
  const products = required(productsOf(gradient), 'the products of the gradient');
  if (isShared) outputs.products = graph.exp(products);
  const { schedule } = required(assemble({ run: { graph, outputs, effects: [] } }).signatures.run, 'the signature');
  const { copiesAtStart } = bufferRules('pjrt', { variables: [] });
  return schedule.flatMap(node => copiesAtStart?.(node, readersIn(schedule)) ?? []).map(({ bytes }) => bytes);
}

const productsOf = (node: Node): Node | undefined =>
  node.op === 'mul' ? node : node.inputs.map(productsOf).find(found => found !== undefined);

test('a factor of a sum of gradients is repeated in a buffer, unless it has all elements or the products are read elsewhere too', () => {
  const ofStreams = [TOKENS, STREAMS, 1];
  expect(copies({ by: ofStreams })).toEqual([4 * TOKENS * STREAMS * WIDTH]);
  expect(copies({ by: ofStreams, isShared: true })).toEqual([]);
  expect(copies({ by: [TOKENS, STREAMS, WIDTH] })).toEqual([]);
});
