/** Tests GGUF files of families in both directions: exports of folders and of files, exact and quantized, tuned whole and by factors. */
import { beforeAll, describe, expect, test } from 'vitest';
import type { Engine } from '../../../trainer/engine/engine.ts';
import { openFast } from '../../support/engines.ts';
import { expectVerified, exportGguf, fileOf, headerOf } from '../../support/files/gguf-export.ts';
import { tinyAdapter } from '../../support/models/tiny-adapter.ts';
import { type TinyDecoderParams, tinyDecoder } from '../../support/models/tiny-decoder.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await openFast();
});

const endless = [0, { __float__: 'Infinity' }];
const llama3 = { rope_type: 'llama3', rope_theta: 10000, factor: 8, low_freq_factor: 1, high_freq_factor: 4 };

interface Case extends TinyDecoderParams {
  readonly architecture: string;
  /** Modules that factors are trained in; by default, all linear layers. */
  readonly factors?: readonly string[];
}

const cases: Readonly<Record<string, Case>> = {
  'Falcon-H1': { architecture: 'falcon-h1', like: 'falcon_h1' },
  'Falcon-H1 with norms, biases and a tied head': {
    architecture: 'falcon-h1',
    like: 'falcon_h1_normed',
    changes: {
      ...{ attention_bias: false, mamba_proj_bias: false, projectors_bias: false, mamba_conv_bias: true, mamba_norm_before_gate: false },
      ...{ embedding_multiplier: 2, lm_head_multiplier: 2, time_step_limit: endless },
    },
  },
};

describe.each(Object.entries(cases))('%s', (_, { architecture, factors, ...like }) => {
  let [folder, file] = ['', ''];
  beforeAll(async () => {
    folder = await tinyDecoder(like);
    const result = await exportGguf(engine, folder, { type: 'F32' });
    expectVerified(result);
    file = fileOf(result);
    expect((await headerOf(file)).metadata.get('general.architecture')).toBe(architecture);
  });

  test.each(['F16', 'Q8_0'] as const)('a folder to %s', async type => {
    expectVerified(await exportGguf(engine, folder, { type }));
  });

  test.each(['base', 'Q8_0'] as const)('a file of which everything was tuned, to %s', async type => {
    const adapterPath = await tinyAdapter({ engine, method: 'full', budget: { r: 1 }, base: file, targets: ['/./'] });
    expectVerified(await exportGguf(engine, file, { adapterPath, type }));
  });

  test('factors', async () => {
    for (const base of [folder, file]) {
      const adapterPath = await tinyAdapter({ engine, method: 'lora', budget: { r: 2 }, base, ...(factors && { targets: factors }) });
      expectVerified(await exportGguf(engine, base, { adapterPath, format: 'gguf-adapter' }));
    }
  });
});

test.each([
  [
    'biases, norms before gates, and a tied head with a multiplier of its own',
    { like: 'falcon_h1_normed' },
    /cannot hold the recurrent state, the biases, the multipliers of this FalconH1/,
  ],
  [
    'divided frequencies',
    { like: 'falcon_h1', changes: { rope_parameters: { ...llama3, original_max_position_embeddings: 64 } } },
    /cannot hold the rotary positions of this FalconH1/,
  ],
] as const)('%s: refused', async (_, params, message) => {
  await expect(exportGguf(engine, await tinyDecoder(params))).rejects.toThrow(message);
});
