/** Tests layers that share their weights: a method has one set of parameters for them, and a new dropout mask at each use. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Graph } from '../../../trainer/graph/graph.ts';
import { methods } from '../../../trainer/method/methods.ts';
import { declareClassifierBatch } from '../../../trainer/model/classifier-batch.ts';
import { Tracer } from '../../../trainer/model/tracer.ts';
import { GOLDEN, readRecord } from '../../support/files/read-json.ts';
import { classifierOf } from '../../support/models/classifier-of.ts';
import { settingsOf } from '../../support/models/method-settings.ts';

const config = readRecord(join(GOLDEN, 'albert', 'config.json'));
const LAYERS = Number(config.num_hidden_layers);

test.each(['lora', 'vera'] as const)('%s', name => {
  const model = classifierOf({ ...config, classifier_dropout_prob: 0 });
  const tuned = ['q', 'v'].map(
    part => `albert.encoder.albert_layer_groups.0.albert_layers.0.attention.${part === 'q' ? 'query' : 'value'}`,
  );
  const settings = settingsOf({ targetModules: tuned, rank: 2, loraDropout: 0.5 });
  const { linearHook, trainables } = methods[name].attach(model, settings, new Map());
  expect(trainables.filter(each => tuned.some(module => each.variable.name.startsWith(module))).length).toBe(2 * tuned.length);
  const graph = new Graph();
  const tracer = new Tracer({ graph, seed: graph.feed('seed', [2], 'int32'), ...(linearHook && { linearHook }) });
  model.logits(tracer, declareClassifierBatch(graph, model.input, { batch: 2, tokens: 6 }));
  const streams = graph.nodes.filter(({ op }) => op === 'randomMask').map(({ inputs }) => inputs.map(({ id }) => id).join());
  expect(new Set(streams).size).toBe(tuned.length * LAYERS);
});
