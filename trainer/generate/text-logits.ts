/** The logits that a classifier gives single texts: it is loaded for them and released. */
import type { Adapter } from '../adapter/adapter.ts';
import { adaptedModel } from '../adapter/apply-adapter.ts';
import type { Engine } from '../engine/engine.ts';
import { Graph } from '../graph/graph.ts';
import { assemble } from '../graph/program.ts';
import type { HostArray } from '../graph/types.ts';
import type { ModelFolder } from '../hub/open-model.ts';
import { declareClassifierBatch } from '../model/classifier-batch.ts';
import { type ClassifierModel, inputOf } from '../model/model-spec.ts';
import { Tracer } from '../model/tracer.ts';
import type { Precision } from '../model/weight-storage.ts';
import { loadVariables, storedWeights } from '../train/variables.ts';

export interface TextLogitsParams {
  readonly engine: Engine;
  /** A base model or a merged export. The caller closes it. */
  readonly folder: ModelFolder;
  /** The model of the folder, with the head of the adapter. */
  readonly model: ClassifierModel;
  readonly adapter: Adapter | undefined;
  /** How the base is stored; all float32 if left out. */
  readonly precision?: Precision | undefined;
  /** The number of tokens that the longest text has. */
  readonly tokens: number;
  readonly onLoad?: ((done: number, total: number) => void) | undefined;
}

/** Returns the logits of a text's token ids: [tokens, labels] if the model labels words, otherwise [1, labels]. */
export type LogitsOf = (ids: Int32Array) => Promise<HostArray | undefined>;

/** The signature of the program. */
const LABEL = 'label';

/** Calls `use` while the model is loaded. @throws AdapterError if the adapter does not fit */
export async function withTextLogits<T>(params: TextLogitsParams, use: (logitsOf: LogitsOf) => Promise<T>): Promise<T> {
  const { engine, folder, model, adapter, precision, tokens, onLoad } = params;
  const { weights, attachment, start } = await adaptedModel({
    model,
    weights: folder.weights,
    adapter,
    hostFrom: engine.hostFrom,
    precision,
  });
  const graph = new Graph();
  const tracer = new Tracer({ graph, linearHook: attachment.linearHook, ...(attachment.storage && { storage: attachment.storage }) });
  const logits = model.logits(tracer, declareClassifierBatch(graph, model.input, { batch: 1, tokens }));
  const program = assemble({ [LABEL]: { graph, outputs: { logits }, effects: [] } });
  const session = await engine.compile({ ...program, places: attachment.hosted });
  const { padId, tokenTypes } = inputOf(model, 'tokens');
  try {
    await loadVariables(session, { model: storedWeights(model, weights, attachment, onLoad), attachment, start });
    return await use(async ids => {
      const feeds = { ids: new Int32Array(tokens).fill(padId), seen: new Float32Array(tokens).fill(1, 0, ids.length) };
      feeds.ids.set(ids);
      return (await session.run(LABEL, tokenTypes > 1 ? { ...feeds, types: new Int32Array(tokens) } : feeds)).logits;
    });
  } finally {
    await session.dispose();
  }
}
