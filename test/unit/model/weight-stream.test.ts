/** Tests the progress of loading: in bytes of the file, from 0 to all of them, so that a large tensor counts accordingly. */
import { expect, test } from 'vitest';
import { causalModel } from '../../../trainer/model/load-model.ts';
import { withStacks } from '../../../trainer/model/stored-form.ts';
import type { SourceTensor, WeightSource } from '../../../trainer/model/weight-source.ts';
import { weightStream } from '../../../trainer/model/weight-stream.ts';
import { eightBlocks } from '../../support/models/llama-sizes.ts';

const model = causalModel(eightBlocks);
const elements = ({ shape }: SourceTensor): number => shape.reduce((product, size) => product * size, 1);

/** @param bits of an element in the file; undefined if the source does not know */
function sourceOf(bits?: number): WeightSource {
  const tensors = model.parameters.map(({ name, shape }): [string, SourceTensor] => [
    name,
    { shape, ...(bits !== undefined && { byteLength: (elements({ shape }) * bits) / 8 }) },
  ]);
  const known = new Map(tensors);
  return { tensors: known, readFloat32: async name => new Float32Array(elements(known.get(name) ?? { shape: [0] })) };
}

async function reportsOf(source: WeightSource): Promise<readonly (readonly [number, number])[]> {
  const reports: [number, number][] = [];
  for await (const _ of weightStream(model, source, { onBytes: (done, total) => reports.push([done, total]) }));
  return reports;
}

test.each([
  ['in 16 bits', 16, 2],
  ['in 32 bits', 32, 4],
  ['of a source that knows no bytes, as the numbers that are read', undefined, 4],
])('weights %s', async (_, bits, each) => {
  const reports = await reportsOf(sourceOf(bits));
  const total = each * model.parameters.reduce((sum, parameter) => sum + elements(parameter), 0);
  expect(reports[0]).toEqual([0, total]);
  expect(reports.at(-1)).toEqual([total, total]);
  const steps = reports.slice(1).map(([done], i) => done - (reports[i]?.[0] ?? 0));
  expect(steps).toEqual([...steps].sort((a, b) => b - a));
  expect(steps.length).toBe(model.parameters.length);
});

test('a stack of experts takes the bytes of its parts', () => {
  const spec = {
    name: 'stack',
    shape: [2 * 4, 32],
    stack: { experts: 2, key: 'num_experts', forms: [{ kind: 'mxfp4', blocks: 'x_blocks', scales: 'x_scales' }] },
  } as const;
  const tensors = new Map<string, SourceTensor>([
    ['x_blocks', { shape: [2, 4, 1, 16], byteLength: 128 }],
    ['x_scales', { shape: [2, 4, 1], byteLength: 8 }],
  ]);
  const source = withStacks([spec], { tensors, readFloat32: async () => new Float32Array() });
  expect(source.tensors.get('stack')).toEqual({ shape: [8, 32], byteLength: 136, isConverted: true });
});

test('a bias that only the file has may be zeros, as in files of GPTQ, and nothing else', async () => {
  const weights = sourceOf(16);
  const bias = 'model.layers.0.self_attn.q_proj.bias';
  const withBias = (value: number): WeightSource => ({
    tensors: new Map([...weights.tensors, [bias, { shape: [4] }]]),
    readFloat32: async name => (name === bias ? Float32Array.of(0, value, 0, 0) : weights.readFloat32(name)),
  });
  expect((await reportsOf(withBias(0))).length).toBe(model.parameters.length + 1);
  await expect(reportsOf(withBias(1e-3))).rejects.toThrow(`the weights have ${bias}, which config.json leaves out`);
});
