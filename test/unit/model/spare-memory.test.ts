/** Tests reused memory: never while it is being read, and never much more than a tensor needs. */
import { expect, test } from 'vitest';
import { causalModel } from '../../../trainer/model/load-model.ts';
import { SpareMemory } from '../../../trainer/model/spare-memory.ts';
import type { Memory, WeightSource } from '../../../trainer/model/weight-source.ts';
import { FLOAT32_STORAGE } from '../../../trainer/model/weight-storage.ts';
import { weightStream } from '../../../trainer/model/weight-stream.ts';

const MIB = 2 ** 20;

test('returned memory is used again, in the requested size', () => {
  const memory = new SpareMemory();
  const first = memory.take(3 * MIB);
  const second = memory.take(3 * MIB);
  expect(second.buffer).not.toBe(first.buffer);
  memory.give(first);
  const third = memory.take(2 * MIB);
  expect(third.buffer).toBe(first.buffer);
  expect([third.byteOffset, third.length]).toEqual([0, 2 * MIB]);
});

test('nothing is given back twice, or that was never taken', () => {
  const memory = new SpareMemory();
  const first = memory.take(2 * MIB);
  memory.give(first);
  memory.give(first);
  memory.give(new Uint8Array(2 * MIB));
  expect(memory.take(2 * MIB).buffer).toBe(first.buffer);
  expect(memory.take(2 * MIB).buffer).not.toBe(first.buffer);
});

test('a small tensor is not held in the memory of a large one', () => {
  const memory = new SpareMemory();
  memory.give(memory.take(8 * MIB));
  expect(memory.take(2 * MIB).buffer.byteLength).toBe(2 * MIB);
  expect(memory.take(100).buffer.byteLength).toBe(100);
});

const model = causalModel({
  model_type: 'llama',
  architectures: ['LlamaForCausalLM'],
  hidden_size: 512,
  intermediate_size: 1536,
  num_hidden_layers: 3,
  num_attention_heads: 8,
  vocab_size: 4096,
  rms_norm_eps: 1e-5,
  max_position_embeddings: 128,
  tie_word_embeddings: false,
});

/** A model in which every value is its own index. */
function numbered(): { readonly source: WeightSource; readonly buffers: Set<ArrayBufferLike>; readonly reading: () => number } {
  const places = new Map(model.parameters.map(({ name }, i) => [name, i]));
  const tensors = new Map(model.parameters.map(({ name, shape }) => [name, { shape, byteLength: 2 * shape.reduce((n, d) => n * d, 1) }]));
  const buffers = new Set<ArrayBufferLike>();
  let reading = 0;
  const readBfloat16 = async (name: string, memory?: Memory): Promise<Uint16Array> => {
    reading++;
    const bytes = tensors.get(name)?.byteLength ?? 0;
    const bits = new Uint16Array((memory?.(bytes) ?? new Uint8Array(bytes)).buffer, 0, bytes / 2);
    await new Promise(setImmediate);
    bits.fill(places.get(name) ?? 0);
    if (bytes >= MIB) buffers.add(bits.buffer);
    reading--;
    return bits;
  };
  return {
    source: { tensors, readFloat32: () => Promise.reject(new Error('bits are there')), readBfloat16 },
    buffers,
    reading: () => reading,
  };
}

test('a tensor is as it was read until it is released, while the next is read', async () => {
  const { source, buffers } = numbered();
  const order: number[] = [];
  for await (const { name, data, release } of weightStream(model, source, { storage: FLOAT32_STORAGE })) {
    const place = model.parameters.findIndex(parameter => parameter.name === name);
    // The next tensor has been read by now.
    for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
    expect(data instanceof Uint16Array && data.every(bits => bits === place), name).toBe(true);
    order.push(place);
    release?.();
  }
  expect(order.length).toBe(model.parameters.length);
  const large = model.parameters.filter(({ shape }) => 2 * shape.reduce((n, d) => n * d, 1) >= MIB).length;
  expect(large).toBeGreaterThan(6);
  expect(buffers.size).toBeLessThan(large);
});

test('stopping early stops the reading, and an error arrives in order', async () => {
  const { source, reading } = numbered();
  const stream = weightStream(model, source, { storage: FLOAT32_STORAGE });
  await stream.next();
  expect(reading()).toBe(1);
  await stream.return(undefined);
  expect(reading()).toBe(0);
  const names: string[] = [];
  const failing: WeightSource = {
    ...source,
    readBfloat16: name => (names.push(name) === 3 ? Promise.reject(new Error(`cut in ${name}`)) : Promise.resolve(undefined)),
    readFloat32: async name => new Float32Array((source.tensors.get(name)?.shape ?? [0]).reduce((n, d) => n * d, 1)),
  };
  const taken: string[] = [];
  const load = async (): Promise<void> => {
    for await (const { name } of weightStream(model, failing, { storage: FLOAT32_STORAGE })) taken.push(name);
  };
  await expect(load()).rejects.toThrow(/^cut in /);
  expect(names.length).toBe(3);
  expect(taken).toEqual(names.slice(0, 2));
});
