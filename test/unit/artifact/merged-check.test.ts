/** Tests that a merged export in 16 bits is compared number by number: every wrong file is refused, however close its logits are. */
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { modelOfAdapter } from '../../../trainer/adapter/adapter.ts';
import { fitAdapter } from '../../../trainer/adapter/fit-adapter.ts';
import { readAdapter } from '../../../trainer/adapter/read-adapter.ts';
import { artifacts } from '../../../trainer/artifact/artifacts.ts';
import { keepsTraining } from '../../../trainer/artifact/check-merge.ts';
import { type ExportParams, exportModel } from '../../../trainer/artifact/export-model.ts';
import type { Engine } from '../../../trainer/engine/engine.ts';
import { encodeFloat32 } from '../../../trainer/format/float-format.ts';
import { openSafetensors, SINGLE_FILE } from '../../../trainer/format/safetensors/safetensors-source.ts';
import { writeSafetensors } from '../../../trainer/format/safetensors/safetensors-writer.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { valueFor } from '../../../trainer/narrow.ts';
import { openFast } from '../../support/engines.ts';
import { temporaryFolder } from '../../support/machine/temporary-folder.ts';
import { TINY_LLAMA, tinyAdapter } from '../../support/models/tiny-adapter.ts';

let engine: Engine;
let adapterPath = '';
beforeAll(async () => {
  engine = await openFast();
  adapterPath = await tinyAdapter({ engine, method: 'lora', budget: { r: 4 } });
});

const run = async (change: Partial<ExportParams> = {}) =>
  exportModel({
    ...{ adapterPath, outputDir: join(await temporaryFolder(), 'out'), overwrite: false, engine },
    ...{ openBase: ({ source }) => openModel(source), format: 'merged', type: 'bfloat16', ...change },
  });

const Q = 'model.layers.0.self_attn.q_proj.weight';
const O = 'model.layers.0.self_attn.o_proj.weight';
type Values = Map<string, Float32Array>;

/** Rewrites a folder with other values, and opens it again as the export does. */
async function reopened(dir: string, change: (values: Values, base: Values) => void): Promise<void> {
  const base = await openModel(TINY_LLAMA);
  const adapter = await readAdapter(adapterPath);
  try {
    const model = modelOfAdapter(base.config, adapter.description);
    const [values, before]: [Values, Values] = [new Map(), new Map()];
    const written = await openSafetensors(join(dir, SINGLE_FILE));
    const infos = [...written.tensors.values()];
    for (const { name } of infos) {
      values.set(name, await written.readFloat32(name));
      before.set(name, await base.weights.readFloat32(name));
    }
    await written.close();
    change(values, before);
    await writeSafetensors(
      join(dir, SINGLE_FILE),
      infos.map(({ name, shape }) => ({ name, shape, dtype: 'BF16', data: async () => encodeFloat32(valueFor(values, name), 'BF16') })),
      { format: 'pt' },
    );
    const opened = { adapter: await fitAdapter(adapter, model), folder: base, model, tokenizer: undefined, fingerprint: '' };
    const form = await artifacts.merged(opened, { type: 'bfloat16' });
    await (await form.reopen(dir)).close();
  } finally {
    await adapter.close();
    await base.weights.close();
  }
}

test('with experts, a merge keeps most of what was trained, or it is refused', () => {
  const [tuned, base] = [Float32Array.of(4, 0, -4), Float32Array.of(0, 0, 0)];
  expect(keepsTraining(Float32Array.of(4, 0.9, -4), tuned, base)).toBe(true);
  for (const wrong of [base, Float32Array.of(8, 0, -8), Float32Array.of(5.2, 0, -5.2), Float32Array.of(Number.NaN, 0, -4)])
    expect(keepsTraining(wrong, tuned, base)).toBe(false);
});

function swap(values: Values, one: string, other: string): void {
  const [a, b] = [valueFor(values, one), valueFor(values, other)];
  values.set(one, b).set(other, a);
}

const transposed = (square: Float32Array): Float32Array => {
  const n = Math.sqrt(square.length);
  return square.map((_, i) => square[(i % n) * n + Math.floor(i / n)] as number);
};

describe('a folder in bfloat16', () => {
  test('has the merged numbers, and computes what they compute', async () => {
    const { outputDir, largestDifference, tolerance, roundingDifference = 0 } = await run();
    expect(largestDifference).toBeLessThan(tolerance);
    expect(roundingDifference).toBeGreaterThan(tolerance);
    await reopened(outputDir, () => undefined);
  });

  test.each<readonly [string, (values: Values, base: Values) => void]>([
    ['the numbers of the base', (values, base) => values.set(Q, valueFor(base, Q))],
    ['two tensors under the names of each other', values => swap(values, Q, O)],
    ['a transposed tensor', values => values.set(Q, transposed(valueFor(values, Q)))],
    [
      'a tensor with a scale',
      values =>
        values.set(
          Q,
          valueFor(values, Q).map(value => value * (1 + 2 ** -7)),
        ),
    ],
    [
      'a norm with a scale',
      values =>
        values.set(
          'model.norm.weight',
          valueFor(values, 'model.norm.weight').map(value => value * 1.01),
        ),
    ],
    [
      'one number that is a step of rounding away',
      values => {
        const own = valueFor(values, Q);
        own[7] = (own[7] as number) * (1 + 2 ** -7);
      },
    ],
  ])('with %s is refused', async (_, change) => {
    const { outputDir } = await run();
    await expect(reopened(outputDir, change)).rejects.toThrow(/ in the export, not -?[\d.e-]+ as merged in memory/);
  });

  test('is refused before it is compared if merging changed the outputs', async () => {
    let runs = 0;
    const lying: Engine = {
      description: engine.description,
      compile: async program => {
        const session = await engine.compile(program);
        const scale = runs++ === 1 ? 1.002 : 1;
        return Object.assign(Object.create(session), {
          run: async (...given: Parameters<typeof session.run>) => {
            const { logits } = await session.run(...given);
            return { logits: Float32Array.from(logits ?? [], value => value * scale) };
          },
        });
      },
    };
    await expect(run({ engine: lying })).rejects.toThrow(/merging moves the tuned model by/);
  });
});
