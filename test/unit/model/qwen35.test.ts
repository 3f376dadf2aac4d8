/** Qwen3.5: which layers attend, packed texts, what levels of recomputation keep, and prompts that continue a state. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Engine } from '../../../trainer/engine/engine.ts';
import { PREFILL_TOKENS } from '../../../trainer/generate/decode-program.ts';
import { openDecoder } from '../../../trainer/generate/decoder.ts';
import { Graph } from '../../../trainer/graph/graph.ts';
import { assemble } from '../../../trainer/graph/program.ts';
import type { HostArray } from '../../../trainer/graph/types.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import type { ConfigJson } from '../../../trainer/model/config-json.ts';
import { decoderConfig } from '../../../trainer/model/family/decoder/decoder-families.ts';
import { HIDDEN } from '../../../trainer/model/layer/attention.ts';
import { causalModel, unknownConfigKeys } from '../../../trainer/model/load-model.ts';
import type { TokenInputs } from '../../../trainer/model/model-spec.ts';
import { Tracer } from '../../../trainer/model/tracer.ts';
import { weightStream } from '../../../trainer/model/weight-stream.ts';
import { largestDifference } from '../../../trainer/verify/verify-model.ts';
import { openFast } from '../../support/engines.ts';
import { readRecord } from '../../support/files/read-json.ts';
import { lossesByLevel } from '../../support/golden/losses-by-level.ts';
import { floatsOf } from '../../support/numbers/outputs.ts';

const folder = join(import.meta.dirname, '..', '..', 'golden', 'qwen3_5');
const saved: ConfigJson = readRecord(join(folder, 'config.json'));
const { layer_types: _, ...rest } = saved;
const model = causalModel(saved);
const engine = await openFast();
const read = (config: ConfigJson) => decoderConfig('Qwen3_5ForCausalLM', config);
const idsOf = (seed: number, length: number): number[] => Array.from({ length }, (_, i) => 3 + ((i * 37 + seed) % 60));

describe('config.json', () => {
  test('every fourth layer attends, where no list says which', () => {
    const layersOf = (changes: ConfigJson) => read({ ...rest, num_hidden_layers: 8, ...changes }).delta?.layers;
    expect(layersOf({})).toEqual([true, true, true, false, true, true, true, false]);
    expect(layersOf({ full_attention_interval: 3 })).toEqual([true, true, false, true, true, false, true, true]);
  });

  test('the keys of a published text part are known', () => {
    const published = {
      ...{ architectures: ['Qwen3_5ForConditionalGeneration'], model_type: 'qwen3_5', tie_word_embeddings: true },
      ...{ image_token_id: 248056, video_token_id: 248057, vision_start_token_id: 248053, vision_end_token_id: 248054, vision_config: {} },
      text_config: {
        ...{ ...saved, architectures: undefined },
        ...{
          attn_output_gate: true,
          output_gate_type: 'swish',
          full_attention_interval: 4,
          mamba_ssm_dtype: 'float32',
          mlp_only_layers: [],
        },
        ...{ mtp_num_hidden_layers: 1, mtp_use_dedicated_embeddings: false },
      },
    };
    expect(unknownConfigKeys(published)).toEqual([]);
    expect(causalModel(published).remark).toBe('Only the text part of this model is loaded: it reads no images.');
  });

  test.each<[string, ConfigJson, RegExp]>([
    [
      'value heads that share no key head',
      { linear_num_value_heads: 3 },
      /linear_num_value_heads 3 is no multiple of linear_num_key_heads 2/,
    ],
    ['attention without gates', { attn_output_gate: false }, /attn_output_gate false is not supported/],
    ['another gate', { output_gate_type: 'sigmoid' }, /output_gate_type "sigmoid" is not supported/],
    ['a list of another length', { layer_types: ['linear_attention'] }, /layer_types has 1 entries for num_hidden_layers 3/],
    ['a layer of another type', { layer_types: Array(3).fill('sliding_attention') }, /layer_types/],
  ])('%s', (_, changes, message) => {
    expect(() => read({ ...rest, ...changes })).toThrow(message);
  });
});

test('layers with a state cache it in place of keys and values', () => {
  expect(model.keyValues.map(own => own?.headDim)).toEqual([undefined, 16, undefined]);
  const shape = { recent: [3, 2 * 2 * 8 + 4 * 6], memory: [4, 8, 6] };
  expect([...(model.states ?? [])]).toEqual([
    [0, shape],
    [2, shape],
  ]);
});

test('every level of recomputation trains alike, to the bit, on texts of more than one chunk', async () => {
  const losses = await lossesByLevel({ engine, model, folder, ids: Int32Array.from(idsOf(0, 140)) });
  for (const own of losses) expect(own).toEqual(losses[0]);
});

/** Final hidden states of one row. */
async function statesOf(tokens: number, inputsOf: (graph: Graph) => TokenInputs, feeds: Record<string, HostArray>): Promise<number[]> {
  const graph = new Graph();
  const y = model.hidden(new Tracer({ graph }), inputsOf(graph));
  expect(y.shape).toEqual([tokens, model.hiddenSize]);
  const session = await engine.compile(assemble({ run: { graph, outputs: { y }, effects: [] } }));
  const { weights } = await openModel(folder);
  await session.load(weightStream(model, weights));
  await weights.close();
  const found = floatsOf(await session.run('run', feeds), 'y');
  await session.dispose();
  return [...found];
}

test('texts in one row have the states that each has alone: none leaks into the next, by the convolution or the recurrence', async () => {
  const lengths = [5, 70, 2, 1, 9];
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  const texts = lengths.map((length, seed) => idsOf(7 * seed, length));
  const alone = [];
  for (const ids of texts)
    alone.push(
      ...(await statesOf(ids.length, graph => ({ ids: graph.feed('ids', [1, ids.length], 'int32'), mask: { kind: 'causal' } }), {
        ids: Int32Array.from(ids),
      })),
    );
  const together = await statesOf(
    tokens,
    graph => {
      const segments = graph.feed('segments', [1, tokens], 'int32');
      const same = graph.equal(graph.reshape(segments, [1, tokens, 1]), graph.reshape(segments, [1, 1, tokens]));
      return {
        ids: graph.feed('ids', [1, tokens], 'int32'),
        mask: { kind: 'bias', bias: graph.select(same, graph.scalar(0), graph.scalar(HIDDEN)), causal: true },
        positions: graph.feed('positions', [1, tokens], 'int32'),
      };
    },
    {
      ids: Int32Array.from(texts.flat()),
      segments: Int32Array.from(lengths.flatMap((length, text) => Array(length).fill(text))),
      positions: Int32Array.from(lengths.flatMap(length => Array.from({ length }, (_, i) => i))),
    },
  );
  expect(largestDifference(together, alone)).toBeLessThan(1e-5);
});

test('a prompt that begins with all that a state has read continues it, to the bit; any other is read anew', async () => {
  const { weights } = await openModel(folder);
  const open = (on: Engine) => openDecoder({ engine: on, model, weights, tokens: 2 * PREFILL_TOKENS });
  const [used, fresh] = [await open(engine), await open(engine)];
  const stretch = idsOf(11, PREFILL_TOKENS);
  const longer = [...stretch, ...idsOf(5, 20)];
  await used.read(stretch);
  expect(used.keptOf(0, longer)).toBe(PREFILL_TOKENS);
  expect(await used.read(longer)).toEqual(await fresh.read(longer));
  // The state is of more than the first stretch now.
  expect(used.keptOf(0, [...stretch, ...idsOf(7, 9)])).toBe(0);
  const other = [...stretch, ...idsOf(7, 9)];
  expect(await used.read(other)).toEqual(await fresh.read(other));
  await Promise.all([used.dispose(), fresh.dispose(), weights.close()]);
});
