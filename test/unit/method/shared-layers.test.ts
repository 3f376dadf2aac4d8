/** Layers that share their weights: a method has one set of numbers for them, and drops something else at each use. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Graph } from '../../../trainer/graph/graph.ts';
import { methods } from '../../../trainer/method/methods.ts';
import { declareClassifierBatch } from '../../../trainer/model/classifier-batch.ts';
import { loadModel } from '../../../trainer/model/load-model.ts';
import type { ClassifierModel } from '../../../trainer/model/model-spec.ts';
import { Tracer } from '../../../trainer/model/tracer.ts';
import { settingsOf } from '../../support/method-settings.ts';

const config = JSON.parse(readFileSync(join(import.meta.dirname, '../../golden/albert/config.json'), 'utf8'));
const LAYERS = config.num_hidden_layers as number;

test.each(['lora', 'vera'] as const)('%s', name => {
  const model = loadModel({ ...config, classifier_dropout_prob: 0 }) as ClassifierModel;
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
