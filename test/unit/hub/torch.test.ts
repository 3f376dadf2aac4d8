/**
 * Tests files of torch.save: compares every form with PyTorch's own values, and refuses truncated or false files. The files are by
 * make_torch_folders.py.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { ModelFileError } from '../../../trainer/format/model-file-error.ts';
import { PickleGlobal, readPickle } from '../../../trainer/format/torch/pickle.ts';
import { TORCH } from '../../../trainer/format/torch/torch-source.ts';
import { readStateDict } from '../../../trainer/format/torch/torch-state-dict.ts';
import { openWeightFiles } from '../../../trainer/format/weight-files.ts';
import { openModel, readModelHeaders } from '../../../trainer/hub/open-model.ts';
import { readGoldenJson } from '../../support/files/read-json.ts';
import { goldenPath, modelFileError, temporaryFolder } from './model-bytes.ts';

const openTorch = (path: string) => openWeightFiles(path, TORCH);
const torchFile = (name: string): string => goldenPath(`torch/${name}.bin`);
const FORMS = ['every', 'every-protocol-5', 'every-old'];
const DTYPES: Readonly<Record<string, string>> = {
  float64: 'F64',
  float32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
  int64: 'I64',
  int32: 'I32',
  int16: 'I16',
  int8: 'I8',
  uint8: 'U8',
  bool: 'BOOL',
};

const numbersForm = z.array(z.number());
const expectedForm = z.object({ dtype: z.string(), shape: numbersForm, data: numbersForm });
const expected = readGoldenJson('torch/every.json', z.record(z.string(), expectedForm));

describe.each(FORMS)('%s', form => {
  test('has the types, shapes and values of PyTorch, whatever the strides', async () => {
    const source = await openTorch(torchFile(form));
    expect([...source.tensors.keys()]).toEqual(Object.keys(expected));
    for (const [name, { dtype, shape, data }] of Object.entries(expected)) {
      expect(source.tensors.get(name)).toMatchObject({ dtype: DTYPES[dtype], shape });
      if (!dtype.includes('float')) continue;
      expect([...(await source.readFloat32(name))], name).toEqual(data.map(Math.fround));
    }
    await source.close();
  });

  test('gives bytes row by row: what PyTorch calls contiguous', async () => {
    const source = await openTorch(torchFile(form));
    const bytes = await source.readRaw('cube');
    expect([...new Float32Array(bytes.buffer)]).toEqual(expected.cube?.data);
    expect([...new BigInt64Array((await source.readRaw('i64')).buffer)].map(Number)).toEqual(expected.i64?.data);
    expect(await source.readBfloat16('bf16')).toHaveLength(12);
    expect(await source.readBfloat16('f32')).toBeUndefined();
    await source.close();
  });

  test('is known as the same weights by its fingerprint', async () => {
    const [first, second] = await Promise.all([openTorch(torchFile('every')), openTorch(torchFile(form))]);
    expect(await second.fingerprint()).toBe(await first.fingerprint());
    await Promise.all([first.close(), second.close()]);
  });

  test('cut anywhere, it is an error of the file that names it', async () => {
    const whole = readFileSync(torchFile(form));
    const path = join(temporaryFolder(), 'cut.bin');
    for (let length = 0; length < whole.length; length += 61) {
      writeFileSync(path, whole.subarray(0, length));
      expect((await modelFileError(() => openTorch(path))).file).toBe(path);
    }
  });

  test('with any byte changed it opens or is an error of the file', async () => {
    const whole = readFileSync(torchFile(form));
    const path = join(temporaryFolder(), 'changed.bin');
    for (let at = 0; at < Math.min(whole.length, 3000); at += 3) {
      const changed = Buffer.from(whole);
      changed[at] = (changed[at] as number) ^ 0x55;
      writeFileSync(path, changed);
      try {
        await (await openTorch(path)).close();
      } catch (error) {
        expect(error).toBeInstanceOf(ModelFileError);
      }
    }
  });
});

test('types that came after the typed storages', async () => {
  const source = await openTorch(torchFile('untyped'));
  expect([...source.tensors.values()].map(({ dtype }) => dtype)).toEqual(['F8_E4M3', 'U16', 'F32']);
  await source.close();
});

test('an OrderedDict that a module gave, with the versions it carries', async () => {
  const source = await openTorch(torchFile('linear'));
  expect([...source.tensors]).toMatchObject([
    ['weight', { shape: [3, 2] }],
    ['bias', { shape: [3] }],
  ]);
  await source.close();
});

describe('is refused', () => {
  test.each([
    ['os-system', 'asks for posix.system, which is not part of a state dict; nothing of it was run'],
    ['os-system-old', 'asks for posix.system'],
    ['eval', 'asks for __builtin__.eval'],
    ['module', 'asks for torch.nn.modules.linear.Linear'],
    ['checkpoint', 'holds no tensors by name, but model, optimizer'],
    ['repeated', 'tensor "w": is [1000, 4], more numbers than the 12 of its storage, some of which it repeats'],
    ['list', 'does not hold a dict of tensors by name'],
  ])('%s', async (name, message) => {
    const error = await modelFileError(() => openTorch(torchFile(name)));
    expect(error.message).toContain(message);
    expect(error.message).toContain('model.state_dict()');
    expect(existsSync('executed-by-rowtune')).toBe(false);
  });

  test('a file that torch.save did not write is refused', async () => {
    const path = join(temporaryFolder(), 'x.bin');
    writeFileSync(path, 'version https://git-lfs.github.com/spec/v1');
    expect((await modelFileError(() => openTorch(path))).message).toContain('does not begin as a file of torch.save does');
  });
});

describe('a pickle', () => {
  const fail = (message: string): never => {
    throw new Error(message);
  };
  const read = (...parts: Array<string | number[]>): unknown => {
    const bytes = Buffer.concat(parts.map(part => (typeof part === 'string' ? Buffer.from(part, 'latin1') : Buffer.from(part))));
    return readPickle(bytes, { globals: new Map(), persistent: id => id, fail }).value;
  };

  test('is plain values', () => {
    expect(read('\x80\x02}(X\x01\0\0\0aK\x07X\x01\0\0\0b]q\0(NG', [0x3f, 0xf8, 0, 0, 0, 0, 0, 0], '\x88\x89h\0eu.')).toEqual(
      new Map<string, unknown>([
        ['a', 7],
        ['b', expect.arrayContaining([null, 1.5, true, false])],
      ]),
    );
    expect(read('\x8a\x02\xff\xff.')).toBe(-1);
    expect(read('J\xfe\xff\xff\xff.')).toBe(-2);
    expect(read('\x8a\x09\0\0\0\0\0\0\0\0\x01.')).toBe(2n ** 64n);
    expect(read('K\x01K\x02\x86.')).toEqual([1, 2]);
  });

  test.each([
    ['a name that is not known', 'cos\nsystem\n.', 'asks for os.system'],
    ['the same in protocol 4', '\x8c\x02os\x8c\x06system\x93.', 'asks for os.system'],
    ['an instance by the old opcode', '(ios\nsystem\n.', 'has the opcode 0x69'],
    ['a call of a value', 'K\x01)R.', 'calls a plain value'],
    ['attributes of a value', ']}b.', 'sets attributes of something that is not a dict'],
    ['an empty stack', 'K\x01a.', 'takes more values'],
    ['a missing mark', 'K\x01e.', 'takes more values'],
    ['a value from below the mark', 'K\x01(0.', 'takes more values'],
    ['a value that was never remembered', 'h\x05.', 'recalls the value 5'],
    ['an item of no list', 'K\x01K\x02a.', 'appends to something that is not a list'],
    ['a key of no dict', 'K\x01K\x02K\x03s.', 'sets items of something that is not a dict'],
    ['a long of a gigabyte', '\x8b\0\0\0\x40.', 'has an integer of 1073741824 bytes'],
    ['an extension', '\x82\x01.', 'has the opcode 0x82'],
  ])('%s', (_, pickle, message) => {
    expect(() => read(pickle)).toThrow(message);
  });

  test('claims are held against the bytes before anything is allocated', () => {
    expect(() => read('X\xff\xff\xff\xffabc')).toThrow('needs 4294967295 bytes, 3 are there');
    expect(() => read('\x8d\xff\xff\xff\xff\xff\xff\xff\x7fa')).toThrow('claims a length of 9223372036854775807 bytes');
    expect(() => read('B\xff\xff\xff\x7f')).toThrow('needs 2147483647 bytes');
  });
});

describe('a pickle that was made to exhaust its reader', () => {
  const bytes = (...parts: readonly string[]): Uint8Array => Buffer.from(parts.join(''), 'latin1');
  const state =
    (...parts: readonly string[]) =>
    () =>
      readStateDict({ path: 'x.bin', bytes: bytes('\x80\x02', ...parts, '.') });
  const dict = 'ccollections\nOrderedDict\n';

  test.each([
    [
      'dicts from one list',
      state('](', 'K\x01K\x02\x86'.repeat(50_000), 'eq\0', `${dict}h\0\x85R0`.repeat(4000)),
      'makes more values from those it has',
    ],
    ['empty dicts', state('}'.repeat(500_001)), 'makes more than 500000 dicts'],
    ['called dicts', state(dict, 'q\0', 'h\0)R'.repeat(500_001)), 'makes more than 500000 dicts'],
    ['operations', state('N0'.repeat(5_000_001)), 'has more than 10000000 operations'],
    ['a name that doubles', state('N', '2\x86'.repeat(200), '2\x93'), 'asks for what has no name'],
    ['a key that doubles', state('}N', '2\x86'.repeat(200), 'Ns'), 'holds no tensors by name, but a key of the type object'],
  ])('%s', (_, read, message) => {
    expect(read).toThrow(message);
  });

  test('a long shape that all tensors share is not looked at for each', () => {
    const tensor = `h\x01(h\x02K\0h\0h\0\x89NtR`;
    const names = Array.from({ length: 2000 }, (_, i) => `X\x04\0\0\0${String(i).padStart(4, '0')}${tensor}`).join('');
    const storage = `(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x01tQ`;
    const read = state('](', 'K\x01'.repeat(100_000), 'eq\0ctorch._utils\n_rebuild_tensor_v2\nq\x01', storage, 'q\x02000}(', names, 'u');
    expect(read).toThrow('has 100000 dimensions; at most 16 are read');
  });

  test('dicts of pairs that are used once are read', () => {
    const { value } = readPickle(bytes(dict, '](', 'K\x01K\x02\x86', 'K\x03K\x04\x86', 'e\x85R.'), {
      globals: new Map([
        ['collections.OrderedDict', new PickleGlobal('d', ([pairs]) => new Map(Array.isArray(pairs) ? pairs : []), { isDict: true })],
      ]),
      persistent: id => id,
      fail: message => {
        throw new Error(message);
      },
    });
    expect(value).toEqual(
      new Map([
        [1, 2],
        [3, 4],
      ]),
    );
  });
});

describe('a folder', () => {
  test('tells its headers, with the norms by the names of today', async () => {
    const { config, tensors } = await readModelHeaders(goldenPath('bert_torch'));
    expect(config.model_type).toBe('bert');
    expect(tensors.get('bert.embeddings.LayerNorm.weight')).toMatchObject({ dtype: 'F32', shape: [32] });
    expect([...tensors.keys()].filter(name => /gamma|beta/.test(name))).toEqual([]);
  });

  test('in shards is read by its index', async () => {
    const model = await openModel(goldenPath('llama_torch'));
    expect(model.kind).toBe('torch');
    expect([...new Set([...model.weights.tensors.values()].map(({ dtype }) => dtype))]).toEqual(['BF16']);
    await model.weights.close();
  });

  test('with a storage that the pickle says is larger is damaged', async () => {
    const whole = readFileSync(torchFile('linear'));
    const at = whole.indexOf('K\x06'.concat('t'), 0, 'latin1');
    expect(at).toBeGreaterThan(0);
    const changed = Buffer.from(whole);
    changed[at + 1] = 200;
    const path = join(temporaryFolder(), 'lying.bin');
    writeFileSync(path, changed);
    expect((await modelFileError(() => openTorch(path))).message).toContain('has 24 bytes, by the pickle 800');
  });
});

describe('zip files that claim more than they hold', () => {
  interface Member {
    readonly name: string;
    readonly data: Buffer;
    /** The stated position of its header, and the length of its bytes. */
    readonly from?: number;
    readonly size?: number;
  }
  const local = ({ name, data }: Member): Buffer => {
    const head = Buffer.alloc(30);
    head.write('PK\x03\x04', 'latin1');
    head.writeUInt32LE(data.length, 18);
    head.writeUInt32LE(data.length, 22);
    head.writeUInt16LE(name.length, 26);
    return Buffer.concat([head, Buffer.from(name), data]);
  };
  const entry = ({ name, data, size = data.length }: Member, from: number): Buffer => {
    const head = Buffer.alloc(46);
    head.write('PK\x01\x02', 'latin1');
    head.writeUInt32LE(size, 20);
    head.writeUInt32LE(size, 24);
    head.writeUInt16LE(name.length, 28);
    head.writeUInt32LE(from, 42);
    return Buffer.concat([head, Buffer.from(name)]);
  };
  const zip = (members: readonly Member[], count = members.length): Buffer => {
    const locals = members.map(local);
    const starts = locals.map((_, i) => locals.slice(0, i).reduce((n, { length }) => n + length, 0));
    const directory = Buffer.concat(members.map((member, i) => entry(member, member.from ?? (starts[i] as number))));
    const end = Buffer.alloc(22);
    end.write('PK\x05\x06', 'latin1');
    end.writeUInt16LE(count, 8);
    end.writeUInt16LE(count, 10);
    end.writeUInt32LE(directory.length, 12);
    end.writeUInt32LE(
      locals.reduce((n, { length }) => n + length, 0),
      16,
    );
    return Buffer.concat([...locals, directory, end]);
  };
  const data = Buffer.alloc(64);
  const pickle = Buffer.from('\x80\x02}.', 'latin1');
  test.each<[string, Buffer, string]>([
    [
      'members that share their bytes',
      zip([0, 1, 2].map(i => ({ name: `a/data/${i}`, data, from: 0 }))),
      'has members that overlap: a/data/0 and a/data/1',
    ],
    ['a member longer than the file', zip([{ name: 'a/data.pkl', data: pickle, size: 2 ** 31 }]), 'but has only'],
    ['members that are not there', zip([{ name: 'a/data.pkl', data: pickle }], 60_000), 'says it has 60000 members, which its'],
    ['a name twice', zip([0, 1].map(() => ({ name: 'a/data.pkl', data: pickle }))), 'has two members a/data.pkl'],
    [
      'an order of bytes of a kilobyte',
      zip([
        { name: 'a/data.pkl', data: pickle },
        { name: 'a/byteorder', data: Buffer.alloc(1000) },
      ]),
      'a/byteorder in it has 1000 bytes; at most 64',
    ],
  ])('%s', async (_, bytes, message) => {
    const path = join(temporaryFolder(), 'claims.bin');
    writeFileSync(path, bytes);
    expect((await modelFileError(() => openTorch(path))).message).toContain(message);
  });
});
