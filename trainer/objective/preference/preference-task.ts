/** The task of language models that compare two answers. */
import { PAIR_ROWS } from '../../data/batch/pair-batches.ts';
import type { Graph, Node } from '../../graph/graph.ts';
import { headLoss, headSlopes } from '../../model/layer/cross-entropy.ts';
import type { CausalModel, TokenInputs } from '../../model/model-spec.ts';
import type { BatchShape, Task } from '../../train/task.ts';
import type { PairLogs, PairLoss } from './pair-loss.ts';

export type JudgePairs = (graph: Graph, logs: PairLogs) => PairLoss;

export interface PreferenceTaskParams {
  /** The loss of each pair. */
  readonly judge: JudgePairs;
  /** The next-token loss of the prompt and the better answer is added. */
  readonly learnsChosen?: boolean;
}

/** Feeds: those of `pairSource`. A training step gives `loss` and `nll` [targets], an evaluation also `losses` [pairs]. */
export function preferenceTask(model: CausalModel, { judge, learnsChosen = false }: PreferenceTaskParams): Task {
  const declare = (graph: Graph, shape: BatchShape): PairFeeds => declarePairs(graph, shape, learnsChosen);
  return {
    model,
    rowsPerSample: PAIR_ROWS,
    loss(tracer, shape, requestFor) {
      const { graph } = tracer;
      const feeds = declare(graph, shape);
      const hidden = model.hidden(tracer, feeds.inputs);
      const weight = tracer.factor(model.head.weight);
      let judged: JudgedBatch | undefined;
      const { nll, seeds } = headSlopes(
        graph,
        { hidden, weight, cap: model.logitCap, ...feeds },
        {
          weight: requestFor(model.head.weight),
          weigh: nll => {
            judged = judgeBatch(graph, { nll, feeds, judge });
            return judged.slopes;
          },
        },
      );
      if (!judged) throw new Error('no loss was built');
      return { loss: judged.loss, seeds, outputs: { nll } };
    },
    evaluation(tracer, shape): Record<string, Node> {
      const { graph } = tracer;
      const feeds = declare(graph, shape);
      const hidden = model.hidden(tracer, feeds.inputs);
      const weight = tracer.factor(model.head.weight);
      const { nll } = headLoss(graph, { hidden, weight, cap: model.logitCap, targetWeights: feeds.targetPresence, ...feeds });
      const { loss, losses } = judgeBatch(graph, { nll, feeds, judge });
      return { loss, losses, nll };
    },
  };
}

interface PairFeeds {
  readonly inputs: TokenInputs;
  readonly targetPositions: Node;
  readonly targetIds: Node;
  readonly targetRows: Node;
  readonly targetPresence: Node;
  readonly baseNll: Node;
  readonly pairWeights: Node;
  readonly chosenWeights: Node | undefined;
}

function declarePairs(graph: Graph, { batch, tokens, targets }: BatchShape, learnsChosen: boolean): PairFeeds {
  return {
    // Right padding needs no mask: a causal query never sees what comes after it.
    inputs: { ids: graph.feed('ids', [batch, tokens], 'int32'), mask: { kind: 'causal' } },
    targetPositions: graph.feed('targetPositions', [targets], 'int32'),
    targetIds: graph.feed('targetIds', [targets], 'int32'),
    targetRows: graph.feed('targetRows', [targets], 'int32'),
    targetPresence: graph.feed('targetPresence', [targets]),
    baseNll: graph.feed('baseNll', [targets]),
    pairWeights: graph.feed('pairWeights', [batch / PAIR_ROWS]),
    chosenWeights: learnsChosen ? graph.feed('chosenWeights', [targets]) : undefined,
  };
}

interface JudgedBatch {
  /** Σ weight · loss of a pair, and Σ weight · NLL of what is learned as it is. */
  readonly loss: Node;
  readonly losses: Node;
  /** Slopes of `loss` for the NLL of each target, [targets]. */
  readonly slopes: Node;
}

interface JudgeParams {
  readonly nll: Node;
  readonly feeds: PairFeeds;
  readonly judge: JudgePairs;
}

function judgeBatch(graph: Graph, { nll, feeds, judge }: JudgeParams): JudgedBatch {
  const { targetRows, targetPresence, baseNll, pairWeights, chosenWeights } = feeds;
  const pairs = pairWeights.shape[0] as number;
  const sides = (values: Node): Node =>
    graph.reshape(graph.segmentSum(graph.mul(values, targetPresence), targetRows, PAIR_ROWS * pairs), [pairs, PAIR_ROWS]);
  const { losses, slopes } = judge(graph, {
    logps: graph.neg(sides(nll)),
    // The differences are summed, not the sums subtracted, which would round.
    ratios: sides(graph.sub(baseNll, nll)),
    lengths: graph.maximum(sides(targetPresence), 1),
  });
  const ofRows = graph.reshape(graph.mul(slopes, graph.reshape(pairWeights, [pairs, 1])), [PAIR_ROWS * pairs]);
  const loss = graph.sumAll(graph.mul(losses, pairWeights));
  const slopesOfPairs = graph.neg(graph.mul(graph.gather(ofRows, targetRows), targetPresence));
  return {
    loss: chosenWeights ? graph.add(loss, graph.sumAll(graph.mul(nll, chosenWeights))) : loss,
    losses,
    slopes: chosenWeights ? graph.add(slopesOfPairs, chosenWeights) : slopesOfPairs,
  };
}
