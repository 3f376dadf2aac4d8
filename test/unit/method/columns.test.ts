/** Tests SPSFT of columns and of coupled channels: on every engine, what is kept of a layer's input, and which layers are refused. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isOp, type Node } from '../../../trainer/graph/graph.ts';
import type { MethodSettings } from '../../../trainer/method/method.ts';
import { attachSpsft } from '../../../trainer/method/spsft/attach.ts';
import { firstUnits } from '../../../trainer/method/spsft/targets.ts';
import { loadModel } from '../../../trainer/model/load-model.ts';
import { causalTask } from '../../../trainer/objective/causal/causal-task.ts';
import { traceTrain } from '../../../trainer/train/train-passes.ts';
import { describeOn, openAllOthers, openReference } from '../../support/engines.ts';
import { readRecord } from '../../support/files/read-json.ts';
import { scattered, settingsOf } from '../../support/models/method-settings.ts';
import { expectClose } from '../../support/numbers/closeness.ts';
import { adamw, openTiny, wholeShape, withTinyRun } from '../../support/runs/tiny-training.ts';

const tiny = await openTiny('llama_biased');
const reference = await openReference();
const attach = (changes: Partial<MethodSettings>) => {
  const settings = settingsOf(changes);
  return attachSpsft(tiny.model, settings, scattered(tiny.model, 'spsft', settings));
};
const goldenModel = (name: string) => loadModel(readRecord(join(import.meta.dirname, '..', '..', 'golden', name, 'config.json')), {});

describeOn(await openAllOthers(), engine => {
  test.each(['columns', 'coupled'] as const)('%s: the losses are those of the reference', async trains => {
    const losses = (on: typeof engine) =>
      withTinyRun({ engine: on, tiny, attachment: attach({ trains }), recompute: 'cheap', learningRate: 1e-2 }, run => run.steps(4));
    expectClose(await losses(engine), await losses(reference), 1e-5);
  });
});

test('with recompute: none, the backward pass reads the trained columns of an input instead of the whole input', () => {
  const attachment = attach({ targetModules: ['down_proj'], trains: 'columns' });
  const training = { optimizer: adamw, maxGradNorm: 0, accumulationSteps: 1, labelSmoothing: 0, exchangeType: 'float32' } as const;
  const { graph } = traceTrain({ task: causalTask(tiny.model), attachment, ...training, recompute: 'none' }, wholeShape);
  const picked = graph.nodes.filter(node => isOp(node, 'gather') && node.phase === 0 && node.attrs.axis === 1);
  expect(picked.map(({ shape }) => shape.at(-1))).toEqual([4, 4]);
  const isReadLater = (wanted: Node | undefined): boolean =>
    graph.nodes.some(({ phase, inputs }) => phase > 0 && inputs.some(input => input === wanted));
  expect(picked.map(node => [isReadLater(node), isReadLater(node.inputs[0])])).toEqual([
    [true, false],
    [true, false],
  ]);
});

describe('what has no columns is refused by name', () => {
  const attachTo = (name: string, changes: Partial<MethodSettings>) => {
    const model = goldenModel(name);
    const settings = settingsOf({ budget: { r: 2 }, ...changes });
    return attachSpsft(model, settings, firstUnits(model, settings));
  };

  test('an embedding and a head', () => {
    expect(() => attachTo('llama', { trains: 'columns', targetModules: ['down_proj', 'embed_tokens', 'lm_head'] })).toThrow(
      'trains: columns tunes linear layers of the blocks; target_modules also match model.embed_tokens, lm_head: set trains: rows to tune these too',
    );
  });

  test('a network of convolutions alone', () => {
    expect(() => attachTo('resnet', { trains: 'columns' })).toThrow(/this resnet has none there/);
    expect(() => attachTo('resnet', { trains: 'coupled' })).toThrow(/trains: coupled needs linear layers of a block/);
  });

  test('layers whose outputs no other target reads', () => {
    expect(() => attachTo('llama', { trains: 'coupled', targetModules: ['q_proj', 'o_proj'] })).toThrow(
      'trains: coupled needs linear layers of a block and those that read their outputs',
    );
  });
});

test.each(['bert', 'deberta', 'vit', 'qwen3', 'gemma3', 'modernbert'])('%s has coupled channels in each block', name => {
  const model = goldenModel(name);
  const settings = settingsOf({ budget: { r: 2 }, trains: 'coupled' });
  const { trainables } = attachSpsft(model, settings, firstUnits(model, settings));
  const blocks = new Set(model.modules.filter(({ layer }) => layer >= 0).map(({ layer }) => layer));
  const layerOf = new Map(model.modules.map(module => [module.weight.name, module.layer]));
  const withColumns = new Set(trainables.flatMap(({ name: weight, columns }) => (columns ? [layerOf.get(weight)] : [])));
  expect(withColumns).toEqual(blocks);
  expect(trainables.some(({ elements }) => elements)).toBe(false);
});
