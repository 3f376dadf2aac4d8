/** Tests that ONNX files read back as written, with tensors inside or in a file next to it. */
import { readdir, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readOnnx } from '../../../../trainer/format/onnx/onnx-reader.ts';
import { type OnnxModel, writeOnnx } from '../../../../trainer/format/onnx/onnx-writer.ts';
import { temporaryFolder } from '../../../support/machine/temporary-folder.ts';

const WIDTH = 300;
const weight = Float32Array.from({ length: 2 * WIDTH }, (_, i) => Math.sin(i));
const bias = Float32Array.of(3, 7);
const tensorOf = (name: string, values: Float32Array, shape: readonly number[]) => ({
  ...({ name, type: 'float32', shape, byteLength: values.byteLength } as const),
  data: () => new Uint8Array(values.buffer),
});
const model: OnnxModel = {
  name: 'layer',
  producerVersion: '1',
  inputs: [{ name: 'x', type: 'float32', shape: ['batch_size', WIDTH] }],
  outputs: [{ name: 'y', type: 'float32', shape: ['batch_size', 2] }],
  nodes: [{ op: 'Gemm', inputs: ['x', 'weight', 'bias'], output: 'y', attributes: { transB: 1, beta: { f: 0.5 } } }],
  tensors: [tensorOf('weight', weight, [2, WIDTH]), tensorOf('bias', bias, [2])],
};

describe.each([
  ['inside', 1e4, ['model.onnx']],
  ['in a file next to it', 1000, ['model.onnx', 'model.onnx_data']],
] as const)('tensors %s', (_, inlineBytes, files) => {
  test('are read back', async () => {
    const dir = await temporaryFolder();
    const path = join(dir, 'model.onnx');
    await writeOnnx(path, model, inlineBytes);
    expect(await readdir(dir)).toEqual(files);
    const file = await readOnnx(path);
    expect([file.inputs, file.outputs]).toEqual([['x'], ['y']]);
    expect([...file.tensors]).toEqual([
      ['weight', { shape: [2, WIDTH] }],
      ['bias', { shape: [2] }],
    ]);
    expect(await file.readFloat32('weight')).toEqual(weight);
    expect(await file.readFloat32('bias')).toEqual(bias);
    await expect(file.readFloat32('scale')).rejects.toThrow(/tensor "scale": is not in the file/);
  });

  test('that were cut are an error', async () => {
    const path = join(await temporaryFolder(), 'model.onnx');
    await writeOnnx(path, model, inlineBytes);
    const last = path.replace('model.onnx', files.at(-1) ?? '');
    await truncate(last, (await stat(last)).size - 50);
    await expect(readOnnx(path).then(file => file.readFloat32('weight'))).rejects.toThrow(/model\.onnx/);
  });
});

test('a tensor whose size differs from its header is not written', async () => {
  const path = join(await temporaryFolder(), 'model.onnx');
  const wrong = { ...model, tensors: [{ ...tensorOf('weight', weight, [2, WIDTH]), byteLength: 20 }] };
  await expect(writeOnnx(path, wrong)).rejects.toThrow(/is to have 20 bytes, but 2400 were given/);
});
