/**
 * Simulates the time of a training step from the program that the ranks run: its operations, and the sums that start and are awaited among
 * them.
 */
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

/** Number of consecutive messages in a sum over this many ranks. */
const messagesOf = (ranks: number): number => 2 * Math.ceil(Math.log2(ranks));
/** Elements that a rank sends, relative to its own: it sends its share once to be summed and once as a sum. */
const sentShare = (ranks: number): number => (2 * (ranks - 1)) / ranks;

/**
 * Seconds of one sum by recursive halving and doubling, which takes 2 · log₂ N messages and sends 2 · (N − 1) / N of the bytes one after
 * the other (Thakur, Rabenseifner and Gropp, "Optimization of Collective Communication Operations in MPICH", 2005).
 * @param bytes of the elements that each rank contributes
 */
export const sumSeconds = (bytes: number, ranks: number, { latencySeconds, bytesPerSecond }: Network): number =>
  ranks === 1 ? 0 : messagesOf(ranks) * latencySeconds + (sentShare(ranks) * bytes) / bytesPerSecond;

/** Fits the network to measured sums, minimizing relative errors. @param points bytes and seconds of a sum over these ranks */
export function fitNetwork(points: readonly SizeAndCost[], ranks: number): Network {
  const { intercept, slope } = fitRelativeLine(points);
  return { latencySeconds: Math.max(0, intercept) / messagesOf(ranks), bytesPerSecond: sentShare(ranks) / slope };
}

export interface StepMachine {
  readonly ranks: number;
  readonly network: Network;
  /** Floating-point operations per second of a rank. */
  readonly flopsPerSecond: number;
}

export interface StepTime {
  readonly seconds: number;
  readonly computeSeconds: number;
  /** Seconds during which sums are in progress. */
  readonly exchangeSeconds: number;
  /** Seconds that the program waits for sums; the rest overlaps with the backward pass. */
  readonly waitedSeconds: number;
  /** Bytes of a rank's gradients during an exchange. */
  readonly bytes: number;
  readonly sums: number;
}

/** Simulates a step. Sums use the connection one after the other, in starting order. Only products and arithmetic take time. */
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
