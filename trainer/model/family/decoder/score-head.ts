/**
 * A decoder with a head for whole texts: one layer, in some families several, on the state of a text's last token, as in Transformers'
 * `…ForSequenceClassification`.
 */

import type { Graph, Node } from '../../../graph/graph.ts';
import { dimensions } from '../../../graph/types.ts';
import type { ConfigJson, ModelOptions } from '../../config-json.ts';
import { type CausalModel, type ClassifierModel, ModelConfigError } from '../../model-spec.ts';
import { linearSpec, type ModuleSpec, parametersOf } from '../../module-specs.ts';
import type { Tracer } from '../../tracer.ts';
import { headSpec, readLabels } from '../labels.ts';
import { tokensOf } from '../text/text-encoder.ts';
import { bodyOf, inputOfDecoder, lastStates } from './decoder-states.ts';

export interface ScoreHeadParams {
  readonly architecture: string;
  readonly json: ConfigJson;
  readonly options: ModelOptions;
  /** True if the weight file has the head, judging by its architecture. */
  readonly hasHead: boolean;
  /** The layers before the last one of the head, in families with some, given the spread of new layers. */
  readonly layersOf?: ((spread: number) => ScoreLayers | undefined) | undefined;
  /** The token that pads texts and is never a text's last token. By default, the end token of config.json, or else 0. */
  readonly padId: number | undefined;
}

/** Layers of a head before its last one, and what that is like. */
export interface ScoreLayers {
  readonly modules: readonly ModuleSpec[];
  /** x [batch, hidden] → the same shape. */
  readonly trace: (tracer: Tracer, x: Node) => Node;
  readonly last: { readonly name: string; readonly biased: boolean; readonly std: number };
}

/** The name of the head in decoders in which it is one layer. */
const SCORE = 'score';

/** @throws ModelConfigError if labels and problem do not fit each other */
export function withScoreHead(
  decoder: CausalModel,
  { architecture, json, options, hasHead, layersOf, padId = endId(json) }: ScoreHeadParams,
): ClassifierModel {
  if (decoder.isBidirectional)
    throw new ModelConfigError(`the tokens of this ${decoder.family} see those behind them, which is computed for embeddings alone`);
  const { hiddenSize } = decoder;
  const layers = layersOf?.(spreadOf(json));
  const { name, biased, std } = layers?.last ?? { name: SCORE, biased: false, std: spreadOf(json) };
  const labels = readLabels({ architecture, json, options, hasHead, std });
  const head = headSpec(linearSpec(name, { part: 'head', layer: -1 }, labels.labels.length, hiddenSize, biased), labels.fresh);
  const modules = [...bodyOf(decoder), ...(layers?.modules ?? []), head];
  return {
    kind: 'classifier',
    family: decoder.family,
    blocks: decoder.blocks,
    hiddenSize,
    ...(decoder.remark !== undefined && { remark: decoder.remark }),
    modules,
    parameters: [...parametersOf(modules), ...decoder.parameters.filter(({ buffer }) => buffer)],
    input: inputOfDecoder(decoder, padId),
    labels: labels.labels,
    problem: labels.problem,
    heads: [head],
    logits(tracer, batch) {
      const { ids } = tokensOf(batch);
      const states = lastTokens(tracer.graph, lastStates(decoder)(tracer, { ids, mask: { kind: 'causal' } }), { ids, padId });
      return tracer.linear(head, layers ? layers.trace(tracer, states) : states);
    },
  };
}

/** States [batch · tokens, width] → the state of each text's last token that is not padding, [batch, width]. */
function lastTokens(graph: Graph, states: Node, { ids, padId }: { readonly ids: Node; readonly padId: number }): Node {
  const [batch, tokens] = dimensions(ids.shape, 2);
  const counting = (length: number, step: number, shape: readonly number[]): Node =>
    graph.constant(
      Float32Array.from({ length }, (_, i) => i * step),
      shape,
      'float32',
    );
  const isPad = graph.cast(graph.equal(ids, graph.scalar(padId, 'int32')), 'float32');
  const last = graph.max(graph.mul(graph.sub(graph.scalar(1), isPad), counting(tokens, 1, [1, tokens])), [1]);
  return graph.gather(states, graph.cast(graph.add(last, counting(batch, tokens, [batch])), 'int32'));
}

/** Transformers' default for the deviation of new layers. */
const USUAL_SPREAD = 0.02;

const spreadOf = ({ initializer_range: std }: ConfigJson): number =>
  typeof std === 'number' && std >= 0 && std <= 10 ? std : USUAL_SPREAD;

/** The first end token of a config. */
function endId({ eos_token_id: given }: ConfigJson): number {
  const first: unknown = Array.isArray(given) ? given[0] : given;
  return typeof first === 'number' && Number.isInteger(first) && first >= 0 ? first : 0;
}
