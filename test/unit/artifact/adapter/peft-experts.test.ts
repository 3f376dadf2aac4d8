/**
 * Tests LoRA of experts in PEFT's form (`target_parameters`), of a head that has another name in memory, and of layers that are transposed in
 * memory: PEFT's adapters are computed here, and ours are written and read back bit for bit.
 */
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { Adapter } from '../../../../trainer/adapter/adapter.ts';
import { applyAdapter } from '../../../../trainer/adapter/apply-adapter.ts';
import { fitAdapter } from '../../../../trainer/adapter/fit-adapter.ts';
import { mergedWeights } from '../../../../trainer/adapter/merge.ts';
import { readAdapter } from '../../../../trainer/adapter/read-adapter.ts';
import { exportModel } from '../../../../trainer/artifact/export-model.ts';
import { sequenceLogits } from '../../../../trainer/artifact/smoke-test.ts';
import type { Engine } from '../../../../trainer/engine/engine.ts';
import { openModel } from '../../../../trainer/hub/open-model.ts';
import { causalModel } from '../../../../trainer/model/load-model.ts';
import { withInitial } from '../../../../trainer/model/weight-stream.ts';
import { largestDifference } from '../../../../trainer/verify/verify-model.ts';
import { openFast } from '../../../support/engines.ts';
import { readJson, readRecord } from '../../../support/files/read-json.ts';
import { temporaryFolder } from '../../../support/machine/temporary-folder.ts';
import { TINY_LLAMA, type TinyAdapterParams, tinyAdapter } from '../../../support/models/tiny-adapter.ts';

const GOLDEN = join(TINY_LLAMA, '..');
const goldenAdapter = (name: string): string => join(GOLDEN, 'peft', name);

let engine: Engine;
beforeAll(async () => {
  engine = await openFast();
});

async function openBase(name: string) {
  const folder = await openModel(join(GOLDEN, name));
  return { folder, model: causalModel(folder.config), fingerprint: await folder.weights.fingerprint() };
}

describe('adapters that PEFT wrote', () => {
  test.each([
    ['qwen3_moe_experts', 'qwen3_moe'],
    ['mixtral_experts', 'mixtral'],
    ['gpt_oss_experts', 'gpt_oss'],
    ['mixtral_down', 'mixtral'],
    ['mixtral_apart', 'mixtral'],
    ['gpt_neox_head', 'gpt_neox'],
    ['gpt_neox_saved_head', 'gpt_neox'],
    ['gpt2_saved_matrix', 'gpt2'],
    ['gpt2_dora', 'gpt2'],
  ])('%s computes what PEFT computes, with its factors apart and merged', async (name, base) => {
    const expected = readJson(
      join(goldenAdapter(name), 'logits.json'),
      z.object({ ids: z.array(z.number()), logits: z.array(z.number()) }),
    );
    const { folder, model, fingerprint } = await openBase(base);
    const adapter = await readAdapter(goldenAdapter(name));
    const ids = Int32Array.from(expected.ids);
    const tuned = await applyAdapter({ model, weights: folder.weights, fingerprint, adapter });
    expect(largestDifference(await sequenceLogits(engine, { model, ...tuned }, ids), expected.logits)).toBeLessThan(1e-4);
    const merged = mergedWeights(withInitial(model, folder.weights), await fitAdapter(adapter, model));
    expect(largestDifference(await sequenceLogits(engine, { model, weights: merged }, ids), expected.logits)).toBeLessThan(1e-4);
    await Promise.all([adapter.close(), folder.weights.close()]);
  });

  async function changed(name: string, change: Record<string, unknown>): Promise<string> {
    const dir = await temporaryFolder();
    await cp(goldenAdapter(name), dir, { recursive: true });
    const config = readRecord(join(dir, 'adapter_config.json'));
    await writeFile(join(dir, 'adapter_config.json'), JSON.stringify({ ...config, ...change }));
    return dir;
  }

  test('target_parameters that are not supported are refused by name', async () => {
    await expect(changed('mixtral_down', { target_parameters: ['mlp.experts.w13'] }).then(readAdapter)).rejects.toThrow(
      /target_parameters: mlp\.experts\.w13 is not read; read are gate_up_proj, up_proj, down_proj, weight/,
    );
    await expect(
      changed('mixtral_down', { target_parameters: ['experts.gate_up_proj', 'experts.down_proj'] }).then(readAdapter),
    ).rejects.toThrow(/belongs to none of target_parameters/);
  });

  test('an adapter of another model is refused with the shapes that differ', async () => {
    const { folder, model, fingerprint } = await openBase('mixtral');
    const adapter = await readAdapter(await changed('mixtral_down', { target_parameters: ['gate_up_proj'] }));
    await expect(applyAdapter({ model, weights: folder.weights, fingerprint, adapter })).rejects.toThrow(
      /gate_up_proj\.lora_A\.weight is \[8,24\], this model needs \[8,32\]/,
    );
    await Promise.all([adapter.close(), folder.weights.close()]);
  });
});

describe('ours', () => {
  async function exported(base: string, tuning: Omit<TinyAdapterParams, 'engine' | 'base' | 'budget'> & Partial<TinyAdapterParams>) {
    const path = join(GOLDEN, base);
    const adapterPath = await tinyAdapter({ engine, budget: { r: 3 }, base: path, ...tuning });
    const outputDir = join(await temporaryFolder(), 'out');
    await exportModel({ adapterPath, format: 'peft', outputDir, overwrite: false, engine, openBase: ({ source }) => openModel(source) });
    const config = readRecord(join(outputDir, 'adapter_config.json'));
    return { adapterPath, outputDir, config };
  }

  const tensorsOf = async (adapter: Adapter): Promise<Record<string, Float32Array>> =>
    Object.fromEntries(
      await Promise.all([...adapter.tensors.keys()].sort().map(async name => [name, await adapter.readFloat32(name)] as const)),
    );

  test.each([
    ['qwen3_moe', ['/experts/', 'q_proj'], ['model.layers.1.mlp.experts.gate_up_proj']],
    ['qwen3_moe', ['up_proj', 'mlp.gate', 'down_proj'], ['model.layers.0.mlp.up_proj.weight', 'model.layers.2.mlp.gate.weight']],
    [
      'mixtral',
      ['w1', 'w2', 'w3', 'block_sparse_moe.gate', 'o_proj'],
      ['model.layers.1.mlp.experts.down_proj', 'model.layers.0.mlp.gate.weight'],
    ],
    [
      'nemotron_h_experts',
      ['/experts/', 'mixer.gate', 'q_proj'],
      ['model.layers.1.mixer.experts.up_proj', 'model.layers.1.mixer.gate.weight'],
    ],
    ['mixtral', ['w3'], ['model.layers.0.mlp.experts.gate_up_proj']],
    ['gpt_oss', ['gate_up_proj', 'down_proj', 'router'], ['model.layers.0.mlp.experts.gate_up_proj', 'model.layers.1.mlp.router.weight']],
  ])('%s, lora of %j: written and read again, every bit is the same', async (base, targets, parameters) => {
    const { adapterPath, outputDir, config } = await exported(base, { method: 'lora', targets });
    for (const parameter of parameters) expect(config.target_parameters).toContain(parameter);
    const { folder, model } = await openBase(base);
    const [before, written] = [await readAdapter(adapterPath), await readAdapter(outputDir)];
    const after = await fitAdapter(written, model);
    expect(after.description.modules).toEqual(before.description.modules);
    expect(Object.fromEntries(after.description.lora)).toEqual(Object.fromEntries(before.description.lora));
    expect(await tensorsOf(after)).toEqual(await tensorsOf(before));
    await Promise.all([before.close(), written.close(), folder.weights.close()]);
  });

  test.each(['spsft', 'spsft+lora'] as const)('%s of experts: rows are factors of their expert', async method => {
    const { config } = await exported('qwen3_moe', { method, budget: { ratio: 0.05 }, targets: ['all-linear', '/experts/'] });
    expect(config.target_parameters).toContain('model.layers.1.mlp.experts.down_proj');
  });

  test('modules that PEFT cannot express next to experts are refused by name', async () => {
    await expect(exported('nemotron_h_experts', { method: 'lora', targets: ['in_proj', 'out_proj'] })).rejects.toThrow(
      /trained in backbone\.layers\.0\.mixer\.out_proj \(a layer of Mamba of which PEFT refuses low-rank factors\): export/,
    );
    await expect(exported('gpt_oss', { method: 'spsft', targets: ['/experts/'] })).rejects.toThrow(
      /PEFT cannot express .*experts\.gate_up_proj \(a parameter, next to which PEFT has no biases/,
    );
    await expect(exported('qwen3_moe', { method: 'dora', targets: ['mlp.gate'] })).rejects.toThrow(
      /mlp\.gate \(a parameter of the model in memory, which PEFT tunes by LoRA alone\)/,
    );
    await expect(
      exported('qwen3_moe', { method: 'lora', targets: ['q_proj'], settings: { modulesToSave: ['/experts/'] } }),
    ).rejects.toThrow(/experts\.gate_proj \(trained whole, and Transformers holds it in another form in memory\)/);
  });
});
