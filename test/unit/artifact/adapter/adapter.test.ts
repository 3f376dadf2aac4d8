/** Tests adapters on disk: written, found, read, and checked against a base. */
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { ADAPTER_DESCRIPTION, ADAPTER_WEIGHTS, type Adapter, type AdapterDescription } from '../../../../trainer/adapter/adapter.ts';
import { applyAdapter } from '../../../../trainer/adapter/apply-adapter.ts';
import { adapterMismatches, checkAdapter } from '../../../../trainer/adapter/check-adapter.ts';
import { mergedWeights } from '../../../../trainer/adapter/merge.ts';
import { readAdapter } from '../../../../trainer/adapter/read-adapter.ts';
import { describeAdapter, writeAdapter } from '../../../../trainer/adapter/write-adapter.ts';
import { sequenceLogits } from '../../../../trainer/artifact/smoke-test.ts';
import { openSafetensors } from '../../../../trainer/format/safetensors/safetensors-source.ts';
import { writeSafetensors } from '../../../../trainer/format/safetensors/safetensors-writer.ts';
import { openModel } from '../../../../trainer/hub/open-model.ts';
import { whole } from '../../../../trainer/method/method.ts';
import { projectionValues, veraProjectionsOf } from '../../../../trainer/method/vera/attach.ts';
import { causalModel } from '../../../../trainer/model/load-model.ts';
import { largestDifference } from '../../../../trainer/verify/verify-model.ts';
import { openFast } from '../../../support/engines.ts';
import { readJson, readRecord } from '../../../support/files/read-json.ts';
import { temporaryFolder } from '../../../support/machine/temporary-folder.ts';
import { TINY_LLAMA } from '../../../support/models/tiny-adapter.ts';

const folder = await openModel(TINY_LLAMA);
const model = causalModel(folder.config);
afterAll(() => folder.weights.close());
const fingerprint = await folder.weights.fingerprint();
/** Adapters that PEFT wrote for the tiny Llama, each with PEFT's logits. */
const peftAdapters = (await readdir(join(TINY_LLAMA, '..', 'peft'))).filter(name => !/^(resn|vit|mixtral|qwen|gpt)/.test(name));
const q = 'model.layers.0.self_attn.q_proj';
const norm = 'model.norm';

const description: AdapterDescription = {
  method: 'spsft',
  base: { source: TINY_LLAMA, revision: 'main', fingerprint, architecture: 'LlamaForCausalLM' },
  modules: [q, norm],
  rows: new Map([
    [q, Int32Array.of(0, 7, 63)],
    [norm, Int32Array.of(5)],
  ]),
  columns: new Map(),
  elements: new Map(),
  lora: new Map(),
  whole: [],
  step: 12,
  labels: ['ham', 'spam'],
  createdBy: 'a test',
};
const values = Float32Array.from({ length: 3 * 64 }, (_, i) => i / 7);
const tensors = [
  { name: `${q}.weight`, shape: [3, 64], data: () => values },
  { name: `${norm}.weight`, shape: [1], data: async () => Float32Array.of(-2) },
];

async function written(change: Partial<AdapterDescription> = {}, changed = tensors): Promise<string> {
  const dir = join(await temporaryFolder(), 'adapter');
  await writeAdapter(dir, { description: { ...description, ...change }, tensors: changed });
  return dir;
}

async function using<T>(path: string, use: (adapter: Adapter) => T | Promise<T>): Promise<T> {
  const adapter = await readAdapter(path);
  try {
    return await use(adapter);
  } finally {
    await adapter.close();
  }
}

describe('ours', () => {
  test('an adapter reads back as it was written', async () => {
    const dir = await written();
    await using(dir, async adapter => {
      expect(adapter.description).toEqual(description);
      expect([...adapter.tensors.keys()]).toEqual([`${q}.weight`, `${norm}.weight`]);
      expect(await adapter.readFloat32(`${q}.weight`)).toEqual(values);
      expect(() => checkAdapter(adapter, model, fingerprint)).not.toThrow();
    });
  });

  test('all mismatches are in one error', async () => {
    const gone = 'model.layers.9.mlp.up_proj';
    const dir = await written(
      {
        modules: [q, norm, gone],
        rows: new Map([
          [q, Int32Array.of(7, 7, 64)],
          [norm, Int32Array.of(5)],
          [gone, Int32Array.of(1)],
        ]),
      },
      [{ name: `${q}.weight`, shape: [3, 4], data: () => new Float32Array(12) }],
    );
    await using(dir, adapter => {
      const problems = adapterMismatches(adapter, model, 'f'.repeat(64));
      expect(problems.map(problem => problem.replaceAll(/[0-9a-f]{12}…/g, '#'))).toEqual([
        'was trained on weights with the fingerprint #, these have #',
        `row 64 of ${q} is outside its 64 rows`,
        `the rows of ${q} do not ascend: 7 follows 7`,
        `tunes ${gone}, which this llama does not have`,
        `${q}.weight is [3,4], this model needs [3,64]`,
        `${norm}.weight [1] is missing`,
      ]);
      expect(() => checkAdapter(adapter, model, fingerprint)).toThrow(/outside its 64 rows[\s\S]+do not ascend[\s\S]+Give|give that model/);
    });
  });

  test('the trained bias of a convolution over tokens, which is a module by itself, fits with and without the weight', () => {
    const own = causalModel(readRecord(join(TINY_LLAMA, '..', 'falcon_h1', 'config.json')));
    const module = 'model.layers.0.mamba.conv1d';
    const of = (names: readonly string[]) => {
      const trainables = own.parameters.filter(({ name }) => names.includes(name)).map(spec => whole({ ...spec, dtype: 'float32' }));
      const tensors = new Map(
        trainables.map(({ name, variable: { shape } }) => [name, { name, dtype: 'F32' as const, shape, byteLength: 0 }]),
      );
      return { description: describeAdapter({ method: 'full', trainables, initial: () => [] }, { ...description.base }), tensors };
    };
    for (const names of [[`${module}.bias`], [`${module}.weight`], [`${module}.weight`, `${module}.bias`]])
      expect(adapterMismatches(of(names), own, fingerprint)).toEqual([]);
    const bias = of([`${module}.bias`]);
    expect(adapterMismatches({ ...bias, tensors: new Map() }, own, fingerprint)).toHaveLength(1);
  });

  test.each([
    ['cut off', (text: string) => text.slice(0, -40), /cannot be read/],
    ['of a later format', (text: string) => text.replace('"version": 1', '"version": 2'), /version[\s\S]+reads format 1/],
    ['of an unknown method', (text: string) => text.replace('spsft', 'magic'), /method/],
    ['with other rows than the tensors', (text: string) => text.replace('63', '62'), /differ between the two files/],
  ])('a description %s', async (_, damage, message) => {
    const dir = await written();
    const path = join(dir, ADAPTER_DESCRIPTION);
    // Without a checksum, which would reveal the damage first.
    const unsealed = (await readFile(path, 'utf8')).replace(/,\n {2}"crc32": "[0-9a-f]{8}"/, '');
    await writeFile(path, damage(unsealed));
    await expect(readAdapter(dir)).rejects.toThrow(message);
  });
});

describe('a run folder', () => {
  test('gives the checkpoint that its summary names, else the latest complete one', async () => {
    const run = await temporaryFolder();
    await expect(readAdapter(run)).rejects.toThrow(/no checkpoint/);
    for (const [name, step] of [
      ['step-000003', 3],
      ['step-000020', 20],
    ] as const)
      await cp(await written({ step }), join(run, 'checkpoints', name), { recursive: true });
    await mkdir(join(run, 'checkpoints', 'step-000021'));
    expect(await using(run, ({ description: { step } }) => step)).toBe(20);
    await writeFile(join(run, 'summary.json'), JSON.stringify({ checkpoint: 'checkpoints/step-000003' }));
    expect(await using(run, ({ description: { step } }) => step)).toBe(3);
    expect(await using(join(run, 'checkpoints', 'step-000020'), ({ description: { step } }) => step)).toBe(20);
  });

  test('a path that does not exist is refused', async () => {
    await expect(readAdapter(join(TINY_LLAMA, 'nowhere'))).rejects.toThrow(/nowhere: does not exist\. Give a run folder/);
  });
});

describe('PEFT', () => {
  const golden = join(TINY_LLAMA, '..', 'llama_lora_adapter');

  async function changed(change: Record<string, unknown>): Promise<string> {
    const dir = await temporaryFolder();
    await cp(golden, dir, { recursive: true });
    const config = readRecord(join(golden, 'adapter_config.json'));
    await writeFile(join(dir, 'adapter_config.json'), JSON.stringify({ ...config, ...change }));
    return dir;
  }

  test('LoRA as PEFT saved it before safetensors', async () => {
    await using(golden, async newer =>
      using(`${golden}_torch`, async older => {
        expect([...older.tensors.keys()]).toEqual([...newer.tensors.keys()]);
        expect(older.description).toEqual(newer.description);
        for (const name of newer.tensors.keys()) expect(await older.readFloat32(name)).toEqual(await newer.readFloat32(name));
      }),
    );
  });

  test('LoRA', async () => {
    await using(golden, async adapter => {
      expect(adapter.description.modules).toHaveLength(14);
      expect(adapter.description.lora.get(q)).toEqual({ r: 4, alpha: 16 });
      expect(adapterMismatches(adapter, model, fingerprint)).toEqual([]);
      expect(await adapter.readFloat32(`${q}.lora_A.weight`)).toHaveLength(4 * 64);
    });
  });

  test('rank-stabilized scale and patterns', async () => {
    const dir = await changed({ use_rslora: true, alpha_pattern: { q_proj: 6 } });
    await using(dir, ({ description: { lora } }) => {
      expect(lora.get(q)).toEqual({ r: 4, alpha: 12 });
      expect(lora.get('model.layers.1.mlp.up_proj')).toEqual({ r: 4, alpha: 32 });
    });
  });

  test('a switch for transposed layers changes nothing, as in PEFT', async () => {
    await using(await changed({ fan_in_fan_out: true }), adapter => {
      expect(adapterMismatches(adapter, model, fingerprint)).toEqual([]);
    });
  });

  test('patterns are regular expressions over the end of a name', async () => {
    const alphas = { 'layers\\.0\\..*\\.(q|k)_proj': 8, '^model.layers.1.self_attn.q_proj': 4, _proj: 1, '.*\\.up_proj': 2 };
    await using(await changed({ alpha_pattern: alphas }), ({ description: { lora } }) => {
      const alphaOf = (module: string) => lora.get(`model.layers.${module}`)?.alpha;
      expect(['0.self_attn.q_proj', '0.self_attn.k_proj', '0.self_attn.v_proj'].map(alphaOf)).toEqual([8, 8, 16]);
      expect(['1.self_attn.q_proj', '1.self_attn.k_proj', '1.mlp.up_proj'].map(alphaOf)).toEqual([4, 16, 2]);
    });
  });

  test.each([
    [{ r: 8 }, /has rank 4; adapter_config.json says 8/],
    [{ layer_replication: [[0, 2]] }, /sets layer_replication/],
    [{ bias: 'all', trainable_token_indices: [3] }, /trainable_token_indices[\s\S]+bias to all/],
    [{ peft_type: 'IA3' }, /of the type IA3/],
    [{ lora_alpha: 'big' }, /lora_alpha/],
    [{ lora_alpha: null }, /lora_alpha is missing/],
    [{ init_lora_weights: 'pissa_niter_16' }, /init_lora_weights to pissa_niter_16[\s\S]+path_initial_model_for_weight_conversion/],
    [{ init_lora_weights: 'olora' }, /init_lora_weights to olora/],
    [{ alora_invocation_tokens: [5, 6] }, /sets alora_invocation_tokens/],
    [{ rank_pattern: { '(q_proj': 4 } }, /rank_pattern: \(q_proj can't be read as a regular expression: it is invalid/],
  ])('%o is refused', async (change, message) => {
    await expect(changed(change).then(readAdapter)).rejects.toThrow(message);
  });

  test('a pattern that is too long is refused and shortened in the message', async () => {
    const dir = await changed({ alpha_pattern: { ['q'.repeat(1001)]: 4 } });
    await expect(readAdapter(dir)).rejects.toThrow(
      /alpha_pattern: q{100}… can't be read as a regular expression: it has 1001 characters; at most 1000 are read/,
    );
  });

  test('use_dora without magnitude vectors is a mismatch', async () => {
    const dir = await changed({ use_dora: true });
    await using(dir, adapter => {
      expect(adapterMismatches(adapter, model, fingerprint)).toContain(`${q}.lora_magnitude_vector [64] is missing`);
    });
  });

  test('an embedding that is the output head too is refused: PEFT would leave the head alone', () => {
    const tied = causalModel({ ...folder.config, tie_word_embeddings: true });
    const name = 'model.embed_tokens';
    const shape = [model.vocabularySize, model.hiddenSize];
    const saved = {
      ...description,
      base: { source: '', revision: '' },
      modules: [name],
      rows: new Map(),
      whole: [name],
      method: 'lora',
    } as const;
    const tensorsOf = new Map([[`${name}.weight`, { name: `${name}.weight`, shape }]]);
    const mismatches = (createdBy: string, of: typeof model) =>
      adapterMismatches({ description: { ...saved, createdBy }, tensors: tensorsOf }, of, fingerprint);
    expect(mismatches('peft 0.17.0', tied)).toEqual([
      expect.stringMatching(/tunes model\.embed_tokens, which is the output head too.+merge/),
    ]);
    expect(mismatches('peft 0.17.0', model)).toEqual([]);
    expect(mismatches('rowtune 0.1.0', tied)).toEqual([]);
  });

  test.each(peftAdapters)('%s computes what PEFT computes', async name => {
    const dir = join(golden, '..', 'peft', name);
    const expected = readJson(join(dir, 'logits.json'), z.object({ ids: z.array(z.number()), logits: z.array(z.number()) }));
    await using(dir, async adapter => {
      const tuned = await applyAdapter({ model, weights: folder.weights, fingerprint, adapter });
      const ids = Int32Array.from(expected.ids);
      const engine = await openFast();
      expect(largestDifference(await sequenceLogits(engine, { model, ...tuned }, ids), expected.logits)).toBeLessThan(1e-4);
      const merged = { model, weights: mergedWeights(folder.weights, adapter) };
      expect(largestDifference(await sequenceLogits(engine, merged, ids), expected.logits)).toBeLessThan(1e-4);
    });
  });

  test('elements outside their weight are refused, by module and place', async () => {
    const dir = await temporaryFolder();
    await cp(join(golden, '..', 'peft', 'shira'), dir, { recursive: true });
    const source = await openSafetensors(join(dir, ADAPTER_WEIGHTS));
    const entries = await Promise.all(
      [...source.tensors.values()].map(async ({ name, shape, dtype: stored }) => {
        const dtype: 'I32' | 'F32' = stored === 'I32' ? 'I32' : 'F32';
        const bytes = Uint8Array.from(await source.readRaw(name));
        // The first column of this module, after its 192 rows.
        if (name.endsWith('layers.0.self_attn.k_proj.shira_indices')) new DataView(bytes.buffer).setInt32(4 * 192, 64, true);
        return { name, shape, dtype, data: () => bytes };
      }),
    );
    await source.close();
    await writeSafetensors(join(dir, ADAPTER_WEIGHTS), entries);
    await using(dir, adapter =>
      expect(applyAdapter({ model, weights: folder.weights, fingerprint, adapter })).rejects.toThrow(
        /layers\.0\.self_attn\.k_proj\.shira_indices names the column 64 of a weight \[32,64\]/,
      ),
    );
  });

  test('the random matrices of VeRA follow from their key, as PyTorch makes them', async () => {
    await using(join(golden, '..', 'peft', 'vera'), async adapter => {
      const [a, b] = [...projectionValues(veraProjectionsOf({ r: 8, input: 96, output: 96 }), 7)];
      expect(a?.data).toEqual(await adapter.readFloat32('vera_A'));
      expect(b?.data).toEqual(await adapter.readFloat32('vera_B'));
    });
  });
});
