/**
 * Turns the reference numbers of a classifier into a program: texts or images with one label each, or texts with a label for each token.
 */
import { Graph } from '../graph/graph.ts';
import { elementCount, type HostArray } from '../graph/types.ts';
import { declareClassifierBatch } from '../model/classifier-batch.ts';
import { classificationLoss } from '../model/layer/loss/classification-loss.ts';
import { type ClassifierModel, isNumeric } from '../model/model-spec.ts';
import { type BatchNormMode, Tracer } from '../model/tracer.ts';
import type { Forward } from './forward.ts';
import { type Golden, GoldenError, type GoldenTensor, idsOf, inputOf } from './golden.ts';

/** The label that Transformers uses for a token that does not count. */
const UNLABELED = -100;

/** @throws GoldenError if the reference numbers are for another kind or size of input */
export function traceClassifier(model: ClassifierModel, golden: Golden, batchNorm: BatchNormMode): Forward {
  const graph = new Graph();
  const batch = golden.labels.shape[0] as number;
  const tokens = model.input.kind === 'tokens' ? (idsOf(golden, model.input).shape[1] as number) : 0;
  const tracer = new Tracer({ graph, batchNorm });
  const logits = model.logits(tracer, declareClassifierBatch(graph, model.input, { batch, tokens }));
  const { loss } = classificationLoss(graph, {
    problem: model.problem,
    logits,
    labels: graph.feed('labels', [golden.labels.data.length], isNumeric(model.problem) ? 'float32' : 'int32'),
    weights: graph.feed('weights', [golden.labels.data.length]),
  });
  const buffers = new Map([...tracer.updates].map(([{ name }, value]) => [name, value]));
  return { graph, logits, loss, seeds: [{ node: loss, gradient: graph.scalar(1) }], buffers };
}

export function feedsOfClassifier({ input, problem }: ClassifierModel, golden: Golden): Record<string, HostArray> {
  const { data } = golden.labels;
  const counted = data.filter(label => label !== UNLABELED || isNumeric(problem)).length;
  const targets = {
    labels: isNumeric(problem) ? Float32Array.from(data) : Int32Array.from(data, label => Math.max(0, label)),
    weights: Float32Array.from(data, label => (label === UNLABELED && !isNumeric(problem) ? 0 : 1 / counted)),
  };
  if (input.kind === 'image') {
    const pixels = inputOf(golden, 'pixel_values', 4);
    const [, channels, height, width] = pixels.shape;
    if (channels !== input.channels || height !== input.height || width !== input.width)
      throw new GoldenError(
        `pixel_values of the reference numbers is [${pixels.shape}]; this model takes [batch, ${input.channels}, ${input.height}, ${input.width}]`,
      );
    return { ...targets, pixels: channelsLast(pixels) };
  }
  const ids = inputOf(golden, 'input_ids', 2);
  const tokens = {
    ids: Int32Array.from(ids.data),
    seen: Float32Array.from(golden.inputs.attention_mask?.data ?? ids.data.map(() => 1)),
  };
  if (input.tokenTypes < 2) return { ...targets, ...tokens };
  return { ...targets, ...tokens, types: Int32Array.from(golden.inputs.token_type_ids?.data ?? ids.data.map(() => 0)) };
}

/** [batch, channels, height, width] → [batch, height, width, channels]. */
function channelsLast({ shape, data }: GoldenTensor): Float32Array {
  const [, channels = 1, height = 1, width = 1] = shape;
  const size = height * width;
  const result = new Float32Array(elementCount(shape));
  result.forEach((_, at) => {
    const channel = at % channels;
    const place = Math.floor(at / channels);
    result[at] = data[(Math.floor(place / size) * channels + channel) * size + (place % size)] as number;
  });
  return result;
}
