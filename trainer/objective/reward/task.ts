/** Reward models: a score for each answer, higher for the better of two. */
import { PAIR_ROWS } from '../../data/batch/pair-batches.ts';
import { declareClassifierBatch } from '../../model/classifier-batch.ts';
import type { Tracer } from '../../model/tracer.ts';
import type { BatchShape } from '../../train/task.ts';
import type { TaskOf } from '../task-setup.ts';
import { rewardLoss } from './reward-loss.ts';

/**
 * Feeds: those of `groupSource`, the better answer first, with the margins as `scores`. Training and evaluation output `rewards` [pairs,
 * 2]; an evaluation also outputs `losses` [pairs].
 */
export const task: TaskOf = (model, { preference: { center_rewards_coefficient: center } }) => {
  if (model.kind !== 'classifier') throw new Error(`${model.family} has no head that gives a number`);
  const trace = (tracer: Tracer, shape: BatchShape) => {
    const { graph } = tracer;
    const pairs = shape.batch / PAIR_ROWS;
    const rewards = graph.reshape(model.logits(tracer, declareClassifierBatch(graph, model.input, shape)), [pairs, PAIR_ROWS]);
    const [weights, margins] = [graph.feed('weights', [pairs]), graph.feed('scores', [pairs])];
    const { losses, slopes } = rewardLoss(graph, { rewards, margins, center });
    const loss = graph.sumAll(graph.mul(losses, weights));
    return { rewards, losses, loss, gradient: graph.mul(slopes, graph.reshape(weights, [pairs, 1])) };
  };
  return {
    model,
    rowsPerSample: PAIR_ROWS,
    loss(tracer, shape) {
      const { rewards, loss, gradient } = trace(tracer, shape);
      return { loss, seeds: [{ node: rewards, gradient }], outputs: { rewards } };
    },
    evaluation(tracer, shape) {
      const { rewards, losses, loss } = trace(tracer, shape);
      return { rewards, losses, loss };
    },
  };
};
