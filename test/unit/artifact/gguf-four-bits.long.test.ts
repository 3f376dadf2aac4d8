/** Tests exports of a gpt-oss as published, with experts in four-bit blocks. */
import { readFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { mergedWeights } from '../../../trainer/adapter/merge.ts';
import { readAdapter } from '../../../trainer/adapter/read-adapter.ts';
import type { ExportResult } from '../../../trainer/artifact/export-model.ts';
import type { Engine } from '../../../trainer/engine/engine.ts';
import { encodeFloat32 } from '../../../trainer/format/float-format.ts';
import { type TensorEntry, writeSafetensors } from '../../../trainer/format/safetensors/safetensors-writer.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { causalModel } from '../../../trainer/model/load-model.ts';
import { withInitial } from '../../../trainer/model/weight-stream.ts';
import { required } from '../../../trainer/narrow.ts';
import { createRandom } from '../../../trainer/random.ts';
import { openFast } from '../../support/engines.ts';
import { expectVerified, exportGguf, fileOf, type GgufChange, headerOf } from '../../support/files/gguf-export.ts';
import { temporaryFolder } from '../../support/machine/temporary-folder.ts';
import { tinyAdapter } from '../../support/models/tiny-adapter.ts';
import { tinyDecoder } from '../../support/models/tiny-decoder.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await openFast();
});

const exportOf = (base: string, change?: GgufChange) => exportGguf(engine, base, change);

describe('experts in four bits', () => {
  const experts = /^model\.layers\.\d\.mlp\.experts\.(gate_up|down)_proj\.weight$/;

  /** Creates a gpt-oss as published: blocks of 32 elements with one scale each. */
  async function fourBits(sizes: Readonly<Record<string, number>> = {}): Promise<string> {
    const base = await tinyDecoder({
      like: 'gpt_oss',
      changes: { swiglu_limit: 7, quantization_config: { quant_method: 'mxfp4' }, ...sizes },
    });
    const { weights } = await openModel(base);
    const random = createRandom(3);
    const bytes = (count: number, least: number, range: number) =>
      Uint8Array.from({ length: count }, () => least + range * random.uniform());
    const entries = [...weights.tensors.values()].flatMap(({ name, shape }): TensorEntry[] => {
      if (!experts.test(name))
        return [{ name, shape, dtype: 'F32', data: async () => encodeFloat32(await weights.readFloat32(name), 'F32') }];
      const [all = 0, width = 0] = shape;
      const scales = [4, all / 4, width / 32];
      const at = name.replace(/\.weight$/, '');
      return [
        { name: `${at}_blocks`, shape: [...scales, 16], dtype: 'U8', data: () => bytes((all * width) / 2, 0, 256) },
        { name: `${at}_scales`, shape: scales, dtype: 'U8', data: () => bytes((all * width) / 32, 121, 4) },
      ];
    });
    const dir = await temporaryFolder();
    await cp(base, dir, { recursive: true });
    await writeSafetensors(join(dir, 'model.safetensors'), entries);
    await weights.close();
    return dir;
  }

  test('are written in eight bits where they were trained, and stay in four elsewhere', async () => {
    const base = await fourBits();
    const said: string[] = [];
    const adapterPath = await tinyAdapter({ engine, method: 'spsft', budget: { r: 4 }, targets: ['down_proj'], base });
    const result = await exportOf(base, { adapterPath, onEvent: event => event.type === 'log' && said.push(event.message) });
    expectVerified(result);
    expect(said.join('\n')).toContain('Trained tensors are written as Q8_0: the MXFP4 of the base would round small changes away');
    const { tensors } = await headerOf(fileOf(result));
    const types = Object.fromEntries(tensors.map(({ name, type }) => [name, type.name]));
    expect(types).toMatchObject({ 'blk.0.ffn_down_exps.weight': 'Q8_0', 'blk.1.ffn_down_exps.weight': 'Q8_0' });
    expect(types).toMatchObject({ 'blk.0.ffn_gate_exps.weight': 'MXFP4', 'blk.1.ffn_up_exps.weight': 'MXFP4' });
    const inFour = await exportOf(base, { adapterPath, type: 'base' });
    const [kept, rounded] = [await lossOfUpdate(base, adapterPath, result), await lossOfUpdate(base, adapterPath, inFour)];
    // Half a step of Q8_0 is at most 1/254 of the largest element of a block; one of MXFP4 up to 1/6.
    expect(kept).toBeLessThan(rounded / 8);
  });

  /** Returns the root mean square error of the trained change, relative to the change itself. */
  async function lossOfUpdate(base: string, adapterPath: string, result: ExportResult): Promise<number> {
    const [before, after, adapter] = [await openModel(base), await openModel(fileOf(result)), await readAdapter(adapterPath)];
    const model = causalModel(before.config);
    const own = withInitial(model, before.weights);
    const [tuned, found] = [mergedWeights(own, adapter), withInitial(model, after.weights)];
    let [error, change] = [0, 0];
    for (const { name } of model.parameters.filter(each => each.name.includes('down_proj.weight'))) {
      const [x, y, z] = [await own.readFloat32(name), await tuned.readFloat32(name), await found.readFloat32(name)];
      for (const [i, value] of y.entries()) {
        if (value === x[i]) continue;
        error += (value - (z[i] ?? 0)) ** 2;
        change += (value - (x[i] ?? 0)) ** 2;
      }
    }
    await Promise.all([before.weights.close(), after.weights.close(), adapter.close()]);
    return Math.sqrt(error / change);
  }

  test('all stay in four bits with type "base", and in a GGUF base', async () => {
    const base = await fourBits();
    const first = await exportOf(base, { type: 'base' });
    expectVerified(first);
    const { tensors, metadata } = await headerOf(fileOf(first));
    const types = Object.fromEntries(tensors.map(({ name, type }) => [name, type.name]));
    expect(types).toMatchObject({
      'blk.0.ffn_gate_exps.weight': 'MXFP4',
      'blk.1.ffn_up_exps.weight': 'MXFP4',
      'blk.1.ffn_down_exps.weight': 'MXFP4',
    });
    expect(types).toMatchObject({
      'blk.0.ffn_gate_exps.bias': 'F32',
      'blk.0.ffn_gate_inp.weight': 'F32',
      'blk.0.attn_sinks.weight': 'F32',
    });
    expect(metadata.get('general.file_type')).toBe(38);
    // Elements of the base equal those of the file, except in trained rows.
    const [before, after] = [await openModel(base), await openModel(fileOf(first))];
    const model = causalModel(before.config);
    const { name: own } = required(
      model.parameters.find(({ name }) => name.includes('down_proj.weight')),
      'a weight',
    );
    const [x, y] = [await withInitial(model, before.weights).readFloat32(own), await withInitial(model, after.weights).readFloat32(own)];
    const changed = new Set([...x].flatMap((value, i) => (value === y[i] ? [] : [Math.floor(i / 32)])));
    expect(changed.size).toBeGreaterThan(0);
    expect(changed.size).toBeLessThanOrEqual(4 * 4);
    await Promise.all([before.weights.close(), after.weights.close()]);
    const again = await exportOf(fileOf(first), {
      type: 'base',
      adapterPath: await tinyAdapter({ engine, method: 'lora', budget: { r: 2 }, targets: ['down_proj'], base: fileOf(first) }),
    });
    expectVerified(again);
    const [one, other] = [readFileSync(fileOf(first)), readFileSync(fileOf(again))];
    const places = (await headerOf(fileOf(first))).tensors.filter(({ position, byteLength }) =>
      Buffer.compare(one.subarray(position, position + byteLength), other.subarray(position, position + byteLength)),
    );
    expect(places.map(({ name }) => name)).toEqual(['blk.0.ffn_down_exps.weight', 'blk.1.ffn_down_exps.weight']);
  });

  test('are written in a type that is asked for', async () => {
    const result = await exportOf(await fourBits({ hidden_size: 256, intermediate_size: 256 }), { type: 'Q8_0' });
    expectVerified(result);
    const { tensors } = await headerOf(fileOf(result));
    expect(tensors.find(({ name }) => name === 'blk.0.ffn_up_exps.weight')?.type.name).toBe('Q8_0');
  });
});
