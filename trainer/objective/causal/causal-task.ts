/** The task of language models: predict the next token at the positions that count. */
import type { Graph, Node } from '../../graph/graph.ts';
import { HIDDEN } from '../../model/layer/attention/attention.ts';
import { headLoss, headLossWithGradient, type SoftTargets } from '../../model/layer/loss/cross-entropy.ts';
import { headLogits, headNodes, headRequests, headRows } from '../../model/layer/loss/head-logits.ts';
import { type DivergenceSettings, teacherDivergence } from '../../model/layer/loss/teacher-divergence.ts';
import type { CausalModel, TokenInputs } from '../../model/model-spec.ts';
import type { BatchShape, Task } from '../../train/task.ts';
import { declareImages } from '../../vision/image-feeds.ts';

export interface CausalTaskParams {
  /** True if several samples share a row; attention is limited to each sample. */
  readonly packed?: boolean;
  /**
   * If given, an evaluation also outputs the logits of these tokens at one position per row, which show the label that the model would
   * begin.
   */
  readonly labelTokens?: readonly number[];
  /** If set, an evaluation also outputs the logits of all tokens at `PROBES` positions per row. */
  readonly probes?: boolean;
  /** True if the texts have images. */
  readonly images?: boolean;
  /** If given, the loss is mixed with the divergence from a teacher. */
  readonly teacher?: TeacherSettings | undefined;
}

export interface TeacherSettings extends DivergenceSettings {
  /** Number of tokens per target whose probability under the teacher is known. */
  readonly topK: number;
  /** The teacher's share α of the loss: (1 − α)·NLL + α·temperature²·divergence. */
  readonly alpha: number;
}

/** Number of positions per row at which the full distribution is read. */
export const PROBES = 4;

/**
 * Feeds: `ids` int32 [batch, tokens]; `targetPositions`, `targetIds` int32 and `targetWeights` [targets]; with `packed` also `segments` and
 * `positions` int32 [batch, tokens]; with `images` those of `declareImages`; with label tokens `labelPositions` int32 [batch] (flat, like target positions).
 * An evaluation outputs `loss`, `nll` and `hits` [targets], and with label tokens `labelScores` [batch, labels]. With `probes`, it reads
 * `probePositions` int32 [PROBES · batch] (flat) and outputs `probeLogits` [PROBES · batch, tokens of the vocabulary].
 * With a teacher, both training and evaluation read `teacherIds` int32 and `teacherLogs` [targets, topK], as in `TeacherNodes`, and output
 * `divergence` [targets]; a training step also outputs `nll`.
 */
export function causalTask(
  model: CausalModel,
  { packed = false, labelTokens, probes = false, images = false, teacher }: CausalTaskParams = {},
): Task {
  const kind = { model, packed, images };
  return {
    model,
    loss(tracer, shape, requestFor, labelSmoothing = 0) {
      const { graph, fillingRows } = tracer;
      const feeds = declareBatch(graph, shape, kind);
      const soft = teacher && declareTeacher(graph, shape, teacher);
      const hidden = model.hidden(tracer, feeds.inputs);
      const head = headNodes(tracer, model);
      const found = headLossWithGradient(
        graph,
        { hidden, ...head, cap: model.logitCap, soft, fillingRows, ...feeds },
        { ...headRequests(model, requestFor), labelSmoothing },
      );
      return found.soft ? { ...found, outputs: { nll: found.nll, divergence: found.soft } } : found;
    },
    evaluation(tracer, shape): Record<string, Node> {
      const { graph, fillingRows } = tracer;
      const feeds = declareBatch(graph, shape, kind);
      const soft = teacher && declareTeacher(graph, shape, teacher);
      const hidden = model.hidden(tracer, feeds.inputs);
      const head = headNodes(tracer, model);
      const { loss, nll, hits, soft: divergence } = headLoss(graph, { hidden, ...head, cap: model.logitCap, soft, fillingRows, ...feeds });
      const hiddenAt = (feed: string, count: number): Node =>
        graph.gather(graph.cast(hidden, head.weight.dtype), graph.feed(feed, [count], 'int32'));
      const outputs: Record<string, Node> = { loss, nll, hits, ...(divergence && { divergence }) };
      if (labelTokens) {
        const answers = headRows(graph, head, graph.constant(Int32Array.from(labelTokens), [labelTokens.length], 'int32'));
        outputs.labelScores = headLogits(graph, model, hiddenAt('labelPositions', shape.batch), answers);
      }
      if (probes) outputs.probeLogits = headLogits(graph, model, hiddenAt('probePositions', PROBES * shape.batch), head);
      return outputs;
    },
  };
}

export function declareTeacher(graph: Graph, { targets }: BatchShape, { topK, alpha, ...settings }: TeacherSettings): SoftTargets {
  const ids = graph.feed('teacherIds', [targets, topK], 'int32');
  const logs = graph.feed('teacherLogs', [targets, topK]);
  return {
    shares: { nll: 1 - alpha, soft: alpha * settings.temperature ** 2 },
    judge(graph, { begin, size, ...chunk }) {
      const some = (node: Node): Node => graph.sliceAxis(node, 0, begin, size);
      return teacherDivergence(graph, { ...chunk, size }, { ids: some(ids), logs: some(logs) }, settings);
    },
  };
}

interface LossFeeds {
  readonly inputs: TokenInputs;
  readonly targetPositions: Node;
  readonly targetIds: Node;
  readonly targetWeights: Node;
}

interface BatchKind extends Required<Pick<CausalTaskParams, 'packed' | 'images'>> {
  readonly model: CausalModel;
}

function declareBatch(graph: Graph, { batch, tokens, targets }: BatchShape, { model, packed, images }: BatchKind): LossFeeds {
  const ids = graph.feed('ids', [batch, tokens], 'int32');
  const common = {
    targetPositions: graph.feed('targetPositions', [targets], 'int32'),
    targetIds: graph.feed('targetIds', [targets], 'int32'),
    targetWeights: graph.feed('targetWeights', [targets]),
  };
  const seen = images && { images: declareImages(graph, model, ids) };
  // Right padding needs no mask: a causal query never attends to later keys.
  if (!packed) return { ...common, inputs: { ids, mask: { kind: 'causal' }, ...seen } };
  const segments = graph.feed('segments', [batch, tokens], 'int32');
  const same = graph.equal(graph.reshape(segments, [batch, tokens, 1]), graph.reshape(segments, [batch, 1, tokens]));
  const bias = graph.select(same, graph.scalar(0), graph.scalar(HIDDEN));
  return {
    ...common,
    inputs: { ids, mask: { kind: 'bias', bias, causal: true }, positions: graph.feed('positions', [batch, tokens], 'int32'), ...seen },
  };
}
