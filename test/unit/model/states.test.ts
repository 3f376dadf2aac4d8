/** Tests blocks that pass a state from token to token: packed texts, what recompute levels keep, and prompts that continue a state. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Engine } from '../../../trainer/engine/engine.ts';
import { PREFILL_TOKENS } from '../../../trainer/generate/decode-program.ts';
import { openDecoder } from '../../../trainer/generate/decoder.ts';
import { Graph } from '../../../trainer/graph/graph.ts';
import { assemble } from '../../../trainer/graph/program.ts';
import type { HostArray } from '../../../trainer/graph/types.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { HIDDEN } from '../../../trainer/model/layer/attention/attention.ts';
import { causalModel } from '../../../trainer/model/load-model.ts';
import type { CausalModel, TokenInputs } from '../../../trainer/model/model-spec.ts';
import { Tracer } from '../../../trainer/model/tracer.ts';
import { weightStream } from '../../../trainer/model/weight-stream.ts';
import { largestDifference } from '../../../trainer/verify/verify-model.ts';
import { openFast } from '../../support/engines.ts';
import { readRecord } from '../../support/files/read-json.ts';
import { lossesByLevel } from '../../support/golden/losses-by-level.ts';
import { floatsOf } from '../../support/numbers/outputs.ts';

const engine = await openFast();
const idsOf = (seed: number, length: number): number[] => Array.from({ length }, (_, i) => 3 + ((i * 37 + seed) % 60));

interface Passed {
  readonly folder: string;
  readonly model: CausalModel;
  readonly tokens: number;
  readonly inputsOf: (graph: Graph) => TokenInputs;
  readonly feeds: Record<string, HostArray>;
}

/** Returns the final hidden states of one row. */
async function statesOf({ folder, model, tokens, inputsOf, feeds }: Passed): Promise<number[]> {
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

// A recurrence with a convolution, a convolution alone, and a recurrence whose convolution has a bias.
describe.each(['qwen3_5', 'olmo_hybrid_saved', 'lfm2', 'granite4_mamba'])('%s', name => {
  const folder = join(import.meta.dirname, '..', '..', 'golden', name);
  const model = causalModel(readRecord(join(folder, 'config.json')));

  test('every level of recomputation trains alike, to the bit, on texts of more than one chunk', async () => {
    const losses = await lossesByLevel({ engine, model, folder, ids: Int32Array.from(idsOf(0, 140)) });
    for (const own of losses) expect(own).toEqual(losses[0]);
  });

  test('texts in one row have the states that each has alone: none leaks into the next, by the convolution or the recurrence', async () => {
    const lengths = [5, 70, 2, 1, 9];
    const tokens = lengths.reduce((sum, length) => sum + length, 0);
    const texts = lengths.map((length, seed) => idsOf(7 * seed, length));
    const alone = [];
    for (const ids of texts)
      alone.push(
        ...(await statesOf({
          ...{ folder, model, tokens: ids.length },
          inputsOf: graph => ({ ids: graph.feed('ids', [1, ids.length], 'int32'), mask: { kind: 'causal' } }),
          feeds: { ids: Int32Array.from(ids) },
        })),
      );
    const together = await statesOf({
      ...{ folder, model, tokens },
      inputsOf: graph => {
        const segments = graph.feed('segments', [1, tokens], 'int32');
        const same = graph.equal(graph.reshape(segments, [1, tokens, 1]), graph.reshape(segments, [1, 1, tokens]));
        return {
          ids: graph.feed('ids', [1, tokens], 'int32'),
          mask: { kind: 'bias', bias: graph.select(same, graph.scalar(0), graph.scalar(HIDDEN)), causal: true },
          positions: graph.feed('positions', [1, tokens], 'int32'),
        };
      },
      feeds: {
        ids: Int32Array.from(texts.flat()),
        segments: Int32Array.from(lengths.flatMap((length, text) => Array(length).fill(text))),
        positions: Int32Array.from(lengths.flatMap(length => Array.from({ length }, (_, i) => i))),
      },
    });
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
    // The state now covers more than the first chunk.
    expect(used.keptOf(0, [...stretch, ...idsOf(7, 9)])).toBe(0);
    const other = [...stretch, ...idsOf(7, 9)];
    expect(await used.read(other)).toEqual(await fresh.read(other));
    await Promise.all([used.dispose(), fresh.dispose(), weights.close()]);
  });
});
