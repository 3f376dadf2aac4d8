/** The task of language models that are tuned on compared or judged answers. */
import { PAIR_ROWS } from '../../data/batch/pair-batches.ts';
import type { Graph, Node } from '../../graph/graph.ts';
import { dimensions } from '../../graph/types.ts';
import { headLoss, headSlopes } from '../../model/layer/loss/cross-entropy.ts';
import { headNodes, headRequests } from '../../model/layer/loss/head-logits.ts';
import type { CausalModel, ImageInputs, TokenInputs } from '../../model/model-spec.ts';
import type { Tracer } from '../../model/tracer.ts';
import type { BatchShape, Task } from '../../train/task.ts';
import { declareImages } from '../../vision/image-feeds.ts';
import type { AnswerLoss, AnswerNodes } from './pair-loss.ts';

/** A loss of the answers. It may declare feeds of its own. */
export type JudgeAnswers = (graph: Graph, answers: AnswerNodes) => AnswerLoss;

export interface PreferenceTaskParams {
  /** The loss of each sample. */
  readonly judge: JudgeAnswers;
  /** Number of answers per sample; 2, a pair, by default. */
  readonly rowsPerSample?: number;
  /** Number of answers of each sample, from the first on, that the loss trains; the others only get a forward pass. All by default. */
  readonly learned?: number;
  /** True if the next-token loss of the prompt and the better answer is added. */
  readonly learnsChosen?: boolean;
  /** True if the prompts have images. */
  readonly images?: boolean;
}

/**
 * Feeds: those of `answerSource`, and of the loss; with `images` also those of `declareImages`. A training step outputs `loss` and `nll` [targets]; an evaluation also outputs `losses`
 * [samples].
 */
export function preferenceTask(model: CausalModel, params: PreferenceTaskParams): Task {
  const { judge, rowsPerSample = PAIR_ROWS, learned = rowsPerSample, learnsChosen = false, images = false } = params;
  const kind = { model, rowsPerSample, learnsChosen, images };
  const declare = (graph: Graph, shape: BatchShape): AnswerFeeds => declareAnswers(graph, shape, kind);
  return {
    model,
    rowsPerSample,
    loss(tracer, shape, requestFor) {
      const { graph, fillingRows } = tracer;
      const feeds = declare(graph, shape);
      const hidden = hiddenOf(model, tracer, feeds.inputs, { learned, rowsPerSample });
      const head = headNodes(tracer, model);
      let judged: JudgedBatch | undefined;
      const { nll, seeds } = headSlopes(
        graph,
        { hidden, ...head, cap: model.logitCap, fillingRows, ...feeds },
        {
          ...headRequests(model, requestFor),
          weigh: nll => {
            judged = judgeBatch(graph, { nll, feeds, rowsPerSample, judge });
            return judged.slopes;
          },
        },
      );
      if (!judged) throw new Error('no loss was built');
      return { loss: judged.loss, seeds, outputs: { nll } };
    },
    evaluation(tracer, shape): Record<string, Node> {
      const { graph, fillingRows } = tracer;
      const feeds = declare(graph, shape);
      const hidden = model.hidden(tracer, feeds.inputs);
      const head = headNodes(tracer, model);
      const { nll } = headLoss(graph, { hidden, ...head, cap: model.logitCap, fillingRows, targetWeights: feeds.targetPresence, ...feeds });
      const { loss, losses } = judgeBatch(graph, { nll, feeds, rowsPerSample, judge });
      return { loss, losses, nll };
    },
  };
}

/** Hidden states of all answers, [batch · tokens, features]. In training, answers that are not trained get no backward pass. */
function hiddenOf(
  model: CausalModel,
  tracer: Tracer,
  inputs: TokenInputs,
  { learned, rowsPerSample }: { readonly learned: number; readonly rowsPerSample: number },
): Node {
  if (learned === rowsPerSample || !tracer.trains) return model.hidden(tracer, inputs);
  const { graph } = tracer;
  const { ids, mask, images } = inputs;
  const [batch, tokens] = dimensions(ids.shape, 2);
  const samples = batch / rowsPerSample;
  const statesOf = (from: number, count: number): Node => {
    const rowsOf: TakeRows = (node, axis = 0) => {
      const [before, after] = [node.shape.slice(0, axis), node.shape.slice(axis + 1)];
      const bySample = graph.reshape(node, [...before, samples, rowsPerSample, ...after]);
      return graph.reshape(graph.sliceAxis(bySample, axis + 1, from, count), [...before, samples * count, ...after]);
    };
    const rows = { ids: rowsOf(ids), mask, ...(images && { images: imagesOfRows(images, rowsOf) }) };
    return graph.reshape(model.hidden(tracer, rows), [samples, count, tokens * model.hiddenSize]);
  };
  const own = statesOf(0, learned);
  const read = statesOf(learned, rowsPerSample - learned);
  // The gradient would be zero, so none is computed.
  read.custom = { inputs: [], rule: () => [] };
  return graph.reshape(graph.concat([own, read], 1), [batch * tokens, model.hiddenSize]);
}

/** Takes some rows of each sample. @param axis of the batch, the first by default */
type TakeRows = (node: Node, axis?: number) => Node;

const imagesOfRows = ({ vectors, isImage, grid, ends }: ImageInputs, rowsOf: TakeRows): ImageInputs => ({
  ...(vectors && { vectors: rowsOf(vectors, 1) }),
  ...(isImage && { isImage: rowsOf(isImage) }),
  ...(grid && { grid: rowsOf(grid, 1) }),
  ...(ends && { ends: rowsOf(ends) }),
});

interface AnswerFeeds {
  readonly inputs: TokenInputs;
  readonly targetPositions: Node;
  readonly targetIds: Node;
  readonly targetRows: Node;
  readonly targetPresence: Node;
  readonly baseNll: Node;
  readonly lossWeights: Node;
  readonly chosenWeights: Node | undefined;
}

interface AnswerKind extends Required<Pick<PreferenceTaskParams, 'rowsPerSample' | 'learnsChosen' | 'images'>> {
  readonly model: CausalModel;
}

function declareAnswers(
  graph: Graph,
  { batch, tokens, targets }: BatchShape,
  { model, rowsPerSample, learnsChosen, images }: AnswerKind,
): AnswerFeeds {
  const ids = graph.feed('ids', [batch, tokens], 'int32');
  return {
    // Right padding needs no mask: a causal query never attends to later keys.
    inputs: { ids, mask: { kind: 'causal' }, ...(images && { images: declareImages(graph, model, ids) }) },
    targetPositions: graph.feed('targetPositions', [targets], 'int32'),
    targetIds: graph.feed('targetIds', [targets], 'int32'),
    targetRows: graph.feed('targetRows', [targets], 'int32'),
    targetPresence: graph.feed('targetPresence', [targets]),
    baseNll: graph.feed('baseNll', [targets]),
    lossWeights: graph.feed('lossWeights', [batch / rowsPerSample]),
    chosenWeights: learnsChosen ? graph.feed('chosenWeights', [targets]) : undefined,
  };
}

interface JudgedBatch {
  /** Σ weight · loss of a sample, plus Σ weight · NLL of the text that is trained directly. */
  readonly loss: Node;
  readonly losses: Node;
  /** Slopes of `loss` for the NLL of each target, [targets]. */
  readonly slopes: Node;
}

interface JudgeParams {
  readonly nll: Node;
  readonly feeds: AnswerFeeds;
  readonly rowsPerSample: number;
  readonly judge: JudgeAnswers;
}

function judgeBatch(graph: Graph, { nll, feeds, rowsPerSample, judge }: JudgeParams): JudgedBatch {
  const { targetRows, targetPresence, baseNll, lossWeights, chosenWeights } = feeds;
  const samples = lossWeights.shape[0] as number;
  const ofAnswers = (values: Node): Node =>
    graph.reshape(graph.segmentSum(graph.mul(values, targetPresence), targetRows, rowsPerSample * samples), [samples, rowsPerSample]);
  const { losses, slopes } = judge(graph, {
    logps: graph.neg(ofAnswers(nll)),
    // Sums the differences: subtracting the sums would round more.
    ratios: ofAnswers(graph.sub(baseNll, nll)),
    lengths: graph.maximum(ofAnswers(targetPresence), 1),
  });
  const ofRows = graph.reshape(graph.mul(slopes, graph.reshape(lossWeights, [samples, 1])), [rowsPerSample * samples]);
  const loss = graph.sumAll(graph.mul(losses, lossWeights));
  const slopesOfAnswers = graph.neg(graph.mul(graph.gather(ofRows, targetRows), targetPresence));
  return {
    loss: chosenWeights ? graph.add(loss, graph.sumAll(graph.mul(nll, chosenWeights))) : loss,
    losses,
    slopes: chosenWeights ? graph.add(slopesOfAnswers, chosenWeights) : slopesOfAnswers,
  };
}
