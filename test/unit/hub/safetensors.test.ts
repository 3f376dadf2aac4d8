/** Tests safetensors: valid files are read exactly, invalid ones are refused with every problem named, and written files read back. */
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { encodeFloat32, float32ToBf16 } from '../../../trainer/format/float-format.ts';
import { ModelFileError } from '../../../trainer/format/model-file-error.ts';
import { MAX_HEADER_BYTES } from '../../../trainer/format/safetensors/safetensors-header.ts';
import { openSafetensors } from '../../../trainer/format/safetensors/safetensors-source.ts';
import { writeSafetensors } from '../../../trainer/format/safetensors/safetensors-writer.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { damaged, goldenPath, modelFileError, randomNumbers, safetensorsBytes, temporaryFile, temporaryFolder } from './model-bytes.ts';

const f32 = (start: number, end: number, shape = [(end - start) / 4]) => ({ dtype: 'F32', shape, data_offsets: [start, end] });
const bytesOf = (values: Float32Array): Uint8Array => encodeFloat32(values, 'F32');

test('reads what Transformers wrote', async () => {
  const source = await openSafetensors(goldenPath('llama/model.safetensors'));
  const info = source.tensors.get('model.embed_tokens.weight');
  expect(info).toEqual({ name: 'model.embed_tokens.weight', dtype: 'F32', shape: [128, 64], byteLength: 32768 });
  const values = await source.readFloat32('model.embed_tokens.weight');
  expect(bytesOf(values)).toEqual(await source.readRaw('model.embed_tokens.weight'));
  expect(source.metadata).toEqual({ format: 'pt' });
  await source.close();
});

test('norms of old files go by the names of today', async () => {
  const path = join(temporaryFolder(), 'x.safetensors');
  const entry = (name: string, value: number) => ({ name, dtype: 'F32', shape: [1], data: () => bytesOf(Float32Array.of(value)) }) as const;
  await writeSafetensors(path, [
    entry('bert.embeddings.LayerNorm.gamma', 1),
    entry('bert.embeddings.LayerNorm.beta', 2),
    entry('gamma', 3),
  ]);
  const source = await openSafetensors(path);
  expect([...source.tensors.keys()]).toEqual(['bert.embeddings.LayerNorm.weight', 'bert.embeddings.LayerNorm.bias', 'gamma']);
  expect([...(await source.readFloat32('bert.embeddings.LayerNorm.bias'))]).toEqual([2]);
  await source.close();
});

test.each(['F32', 'F16', 'BF16'] as const)('%s written and read again, larger than one chunk of conversion', async dtype => {
  const values = Float32Array.from({ length: 3_000_000 }, (_, i) => ((i * 37) % 251) / 8 - 15);
  const path = join(temporaryFolder(), 'x.safetensors');
  await writeSafetensors(path, [{ name: 'w', dtype, shape: [3, 1_000_000], data: () => encodeFloat32(values, dtype) }]);
  const source = await openSafetensors(path);
  expect(Buffer.compare(Buffer.from((await source.readFloat32('w')).buffer), Buffer.from(values.buffer))).toBe(0);
  const bits = await source.readBfloat16('w');
  expect(bits !== undefined).toBe(dtype === 'BF16');
  if (bits) expect(Buffer.compare(Buffer.from(bits.buffer), Buffer.from(float32ToBf16(values).buffer))).toBe(0);
  await source.close();
});

test('a tensor behind the first four gigabytes is read without the bytes before it', async () => {
  const large = 4_400_000_000;
  const header = { big: { dtype: 'U8', shape: [large], data_offsets: [0, large] }, small: f32(large, large + 8) };
  const path = temporaryFile('x.safetensors', safetensorsBytes(header, 0));
  const start = statSync(path).size + large;
  truncateSync(path, start + 8); // a sparse file instead of 4 GB
  const file = openSync(path, 'r+');
  writeSync(file, bytesOf(Float32Array.of(1.5, -2)), 0, 8, start);
  closeSync(file);
  const source = await openSafetensors(path);
  expect([...(await source.readFloat32('small'))]).toEqual([1.5, -2]);
  expect(await source.fingerprint()).toHaveLength(64);
  await source.close();
});

describe('writer', () => {
  test('keeps order, metadata, integers, scalars and empty tensors', async () => {
    const dir = temporaryFolder();
    const path = join(dir, 'x.safetensors');
    await writeSafetensors(
      path,
      [
        { name: 'rows', dtype: 'I32', shape: [2], data: () => new Uint8Array(Int32Array.of(7, -1).buffer) },
        { name: 'none', dtype: 'F32', shape: [0, 4], data: async () => new Uint8Array(0) },
        { name: 'scalar', dtype: 'F32', shape: [], data: () => bytesOf(Float32Array.of(2.5)) },
      ],
      { base: 'abc' },
    );
    const source = await openSafetensors(path);
    expect([...source.tensors.keys()]).toEqual(['rows', 'none', 'scalar']);
    expect(source.metadata).toEqual({ base: 'abc' });
    expect([...(await source.readRaw('rows'))]).toEqual([7, 0, 0, 0, 255, 255, 255, 255]);
    expect([...(await source.readFloat32('none'))]).toEqual([]);
    expect([...(await source.readFloat32('scalar'))]).toEqual([2.5]);
    expect((await modelFileError(() => source.readFloat32('rows'))).message).toContain('I32');
    expect((await modelFileError(() => source.readFloat32('absent'))).message).toContain('is not in this model');
    await source.close();
    expect(readdirSync(dir)).toEqual(['x.safetensors']);
  });

  test('a failure leaves the older file and no other', async () => {
    const dir = temporaryFolder();
    const path = join(dir, 'x.safetensors');
    writeFileSync(path, 'old');
    const short = { name: 'w', dtype: 'F32', shape: [2], data: () => new Uint8Array(4) } as const;
    expect((await modelFileError(() => writeSafetensors(path, [short]))).message).toContain('8 bytes, but 4 were given');
    expect((await modelFileError(() => writeSafetensors(path, [short, short]))).message).toContain('twice');
    expect(readFileSync(path, 'utf8')).toBe('old');
    expect(readdirSync(dir)).toEqual(['x.safetensors']);
  });
});

describe('sharded', () => {
  async function shardedFolder(weightMap: Record<string, string>): Promise<string> {
    const dir = temporaryFolder();
    for (const name of ['a', 'b']) {
      const data = () => bytesOf(Float32Array.of(name === 'a' ? 1 : 2, 3));
      await writeSafetensors(join(dir, `model-${name}.safetensors`), [{ name, dtype: 'F32', shape: [2], data }]);
    }
    const index = join(dir, 'model.safetensors.index.json');
    writeFileSync(index, JSON.stringify({ metadata: {}, weight_map: weightMap }));
    return index;
  }

  test('reads across shards, with the fingerprint of the same weights in one file', async () => {
    const source = await openSafetensors(await shardedFolder({ a: 'model-a.safetensors', b: 'model-b.safetensors' }));
    expect([...(await source.readFloat32('b'))]).toEqual([2, 3]);
    expect([...source.shards]).toEqual([
      ['model-a.safetensors', ['a']],
      ['model-b.safetensors', ['b']],
    ]);
    const one = join(temporaryFolder(), 'model.safetensors');
    const entry = (name: string, first: number) => ({
      name,
      dtype: 'F32' as const,
      shape: [2],
      data: () => bytesOf(Float32Array.of(first, 3)),
    });
    await writeSafetensors(one, [entry('b', 2), entry('a', 1)], { note: 'other order' });
    const single = await openSafetensors(one);
    expect(await single.fingerprint()).toBe(await source.fingerprint());
    await writeSafetensors(one, [entry('b', 2.5), entry('a', 1)]);
    const changed = await openSafetensors(one);
    expect(await changed.fingerprint()).not.toBe(await source.fingerprint());
    await Promise.all([source.close(), single.close(), changed.close()]);
  });

  test('names every disagreement between index and shards', async () => {
    const index = await shardedFolder({ a: 'model-b.safetensors', c: 'model-a.safetensors' });
    const { problems } = await modelFileError(() => openSafetensors(index));
    expect(problems.map(p => p.tensor)).toEqual(['a', 'c', 'b']);
  });

  test('an index cannot lead out of its folder, and a missing shard is named', async () => {
    expect((await modelFileError(async () => openSafetensors(await shardedFolder({ a: '../model-a.safetensors' })))).message).toContain(
      'not a plain .safetensors file name',
    );
    expect((await modelFileError(async () => openSafetensors(await shardedFolder({ a: 'gone.safetensors' })))).message).toContain(
      'gone.safetensors: does not exist',
    );
  });
});

describe('refuses', () => {
  test('a path where no model is any more, without taking it for a name on the hub', async () => {
    const gone = join(temporaryFolder(), 'gone');
    const { message } = await modelFileError(() => openModel(gone, { cacheDir: temporaryFolder(), offline: true }));
    expect(message).toBe(`${gone}: does not exist. Put the model back there, or correct the path.`);
  });

  test.each<[string, Uint8Array, string]>([
    ['an empty file', new Uint8Array(0), 'only 0 bytes'],
    ['a header longer than the format allows', safetensorsBytes({}, 0, BigInt(MAX_HEADER_BYTES) + 1n), 'the format allows'],
    ['a header of 2^63 bytes', safetensorsBytes({}, 0, 1n << 63n), 'the format allows'],
    ['a header longer than the file', safetensorsBytes({}, 0, 99n), 'has only 10'],
    ['a header that is no JSON', safetensorsBytes('{"a": }', 0), 'line 1, column 7'],
    ['a header that is a list', safetensorsBytes('[]', 0), 'not a JSON object'],
    [
      'a name twice',
      safetensorsBytes('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1),
      'appears twice',
    ],
    ['an unknown dtype', safetensorsBytes({ a: { ...f32(0, 4), dtype: 'F31' } }, 4), 'unknown dtype'],
    ['a dtype of ours only', safetensorsBytes({ a: { ...f32(0, 4), dtype: 'GGML' } }, 4), 'unknown dtype'],
    ['a dtype every object has', safetensorsBytes({ a: { ...f32(0, 4), dtype: 'toString' } }, 4), 'unknown dtype'],
    ['a negative size', safetensorsBytes({ a: f32(0, 4, [-1]) }, 4), 'not a list'],
    ['a fractional size', safetensorsBytes({ a: f32(0, 4, [0.5]) }, 4), 'not a list'],
    ['sizes whose product overflows', safetensorsBytes({ a: f32(0, 4, [2 ** 52, 2 ** 52, 0]) }, 4), 'but takes 4'],
    ['a shape that disagrees with its bytes', safetensorsBytes({ a: f32(0, 8, [3]) }, 8), 'is F32 [3], which is 12 bytes, but takes 8'],
    ['data behind the end', safetensorsBytes({ a: f32(0, 8) }, 4), 'outside the 4 bytes'],
    ['an end before the start', safetensorsBytes({ a: { ...f32(4, 8), data_offsets: [8, 4] } }, 8), 'outside'],
    ['an overlap', safetensorsBytes({ a: f32(0, 8), b: f32(4, 12) }, 12), 'overlaps the tensor before it by 4 bytes'],
    ['a hole', safetensorsBytes({ a: f32(0, 4), b: f32(8, 12) }, 12), 'a hole of 4 bytes'],
    ['bytes of nobody', safetensorsBytes({ a: f32(0, 4) }, 6), '2 bytes that belong to no tensor'],
    ['metadata that is not text', safetensorsBytes({ __metadata__: { a: 1 } }, 0), 'strings to strings'],
  ])('%s', async (_, bytes, message) => {
    const path = temporaryFile('x.safetensors', bytes);
    const error = await modelFileError(() => openSafetensors(path));
    expect(error.message).toContain(message);
    expect(error.message).toContain(path);
  });

  test('a folder and a missing file', async () => {
    const dir = temporaryFolder();
    mkdirSync(join(dir, 'x.safetensors'));
    expect((await modelFileError(() => openSafetensors(join(dir, 'x.safetensors')))).message).toContain('is a folder, not a regular file');
    expect((await modelFileError(() => openSafetensors(join(dir, 'y.safetensors')))).message).toContain('does not exist');
  });

  test('names all tensors that are wrong at once', async () => {
    const path = temporaryFile(
      'x.safetensors',
      safetensorsBytes({ a: f32(0, 8, [3]), b: { dtype: 'X', shape: [], data_offsets: [0, 0] }, c: f32(0, 400) }, 8),
    );
    const error = await modelFileError(() => openSafetensors(path));
    expect(error.problems.map(p => p.tensor)).toEqual(['a', 'b', 'c']);
  });

  test('500 damaged files end in ModelFileError or in a file that reads', async () => {
    const bytes = readFileSync(goldenPath('bert/model.safetensors'));
    const headerBytes = 8 + Number(bytes.readBigUInt64LE(0));
    const random = randomNumbers(1);
    const path = temporaryFile('x.safetensors', '');
    let refused = 0;
    for (let i = 0; i < 500; i++) {
      writeFileSync(path, damaged(bytes, headerBytes, random));
      try {
        const source = await openSafetensors(path);
        await source.close();
      } catch (error) {
        expect(error).toBeInstanceOf(ModelFileError);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(300);
    expect(existsSync(path)).toBe(true);
  });
});

test('a folder with an adapter alone says how it is used', async () => {
  const dir = temporaryFolder();
  writeFileSync(join(dir, 'adapter_model.safetensors'), safetensorsBytes({}, 0));
  const { message } = await modelFileError(() => openModel(dir));
  expect(message).toMatch(/holds an adapter, which is not a whole model\. Name its base as the model, with this folder as --adapter/);
});

test('names the model at an address on the hub', async () => {
  await expect(openModel('https://huggingface.co/org/model/tree/main')).rejects.toThrow('a name on the hub has the form org/model');
});
