/** The time of one training step by the very program that its ranks run: its operations, and the sums that leave and are waited for among them. */
import { isOp, type Node } from '../../trainer/graph/graph.ts';
import { nodesFlops } from '../../trainer/graph/liveness.ts';
import { sumForms } from '../../trainer/graph/sum-forms.ts';
import { elementCount } from '../../trainer/graph/types.ts';
import { valueFor } from '../../trainer/narrow.ts';
import { fitRelativeLine, type SizeAndCost } from '../line-fit.ts';

/** The connection of a rank to the others. */
export interface Network {
  readonly latencySeconds: number;
  readonly bytesPerSecond: number;
}

/** Messages of a sum over so many ranks that follow each other. */
const messagesOf = (ranks: number): number => 2 * Math.ceil(Math.log2(ranks));
/** The share of its numbers that a rank sends twice: once to be summed, once as a sum. */
const sentShare = (ranks: number): number => (2 * (ranks - 1)) / ranks;

/**
 * Seconds of one sum: recursive halving and doubling, for which 2 · log₂ N messages and 2 · (N − 1) / N of the bytes follow each other (Thakur,
 * Rabenseifner and Gropp, "Optimization of Collective Communication Operations in MPICH", 2005).
 * @param bytes of the numbers that each rank gives
 */
export const sumSeconds = (bytes: number, ranks: number, { latencySeconds, bytesPerSecond }: Network): number =>
  ranks === 1 ? 0 : messagesOf(ranks) * latencySeconds + (sentShare(ranks) * bytes) / bytesPerSecond;

/** The network that explains measured sums best, each by its relative error. @param points bytes and seconds of a sum over these ranks */
export function fitNetwork(points: readonly SizeAndCost[], ranks: number): Network {
  const { intercept, slope } = fitRelativeLine(points);
  return { latencySeconds: Math.max(0, intercept) / messagesOf(ranks), bytesPerSecond: sentShare(ranks) / slope };
}

export interface StepMachine {
  readonly ranks: number;
  readonly network: Network;
  /** Floating-point operations of a rank. */
  readonly flopsPerSecond: number;
}

export interface StepTime {
  readonly seconds: number;
  readonly computeSeconds: number;
  /** The time in which sums are on their way. */
  readonly exchangeSeconds: number;
  /** The time in which the program waits for them; the rest is hidden behind the backward pass. */
  readonly waitedSeconds: number;
  /** The size of the gradients of a rank as they travel. */
  readonly bytes: number;
  readonly sums: number;
}

/** Sums use the connection one after the other, in the order in which they begin. Nothing but products and arithmetic takes time. */
export function simulateStep(schedule: readonly Node[], machine: StepMachine): StepTime {
  const { ranks, network, flopsPerSecond } = machine;
  const ends = new Map<Node, number>();
  let [now, free, exchange, waited, bytes] = [0, 0, 0, 0, 0];
  for (const node of schedule) {
    const [input] = node.inputs;
    if (isOp(node, 'beginSum')) {
      const given = sumForms[node.attrs.as].bytes(elementCount(node.shape));
      const seconds = sumSeconds(given, ranks, network);
      free = Math.max(now, free) + seconds;
      ends.set(node, free);
      exchange += seconds;
      bytes += given;
    } else if (node.op === 'endSum' && input !== undefined) {
      const end = valueFor(ends, input);
      waited += Math.max(0, end - now);
      now = Math.max(now, end);
    } else now += nodesFlops([node]) / flopsPerSecond;
  }
  return { seconds: now, computeSeconds: now - waited, exchangeSeconds: exchange, waitedSeconds: waited, bytes, sums: ends.size };
}
