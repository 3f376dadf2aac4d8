/**
 * Tests checksums: a flipped bit anywhere in a file that Rowtune wrote is found, and attributed to its tensor; older files are read as
 * before.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseSealedJson, sealJson } from '../../../trainer/files/sealed-json.ts';
import { encodeFloat32 } from '../../../trainer/format/float-format.ts';
import { openSafetensors } from '../../../trainer/format/safetensors/safetensors-source.ts';
import { writeSafetensors } from '../../../trainer/format/safetensors/safetensors-writer.ts';
import { required } from '../../../trainer/narrow.ts';
import { goldenPath, modelFileError, temporaryFolder } from './model-bytes.ts';

/** Returns a copy with one bit of byte `at` flipped. */
function flipped(bytes: Uint8Array, at: number, bit = at % 8): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[at] = (copy[at] as number) ^ (1 << bit);
  return copy;
}

async function writeSample(): Promise<{ path: string; bytes: Uint8Array; dataStart: number }> {
  const path = join(temporaryFolder(), 'x.safetensors');
  const values = (count: number) =>
    encodeFloat32(
      Float32Array.from({ length: count }, (_, i) => Math.sin(i)),
      'F32',
    );
  await writeSafetensors(
    path,
    [
      { name: 'model.a.rows', dtype: 'I32', shape: [2], data: () => new Uint8Array(Int32Array.of(7, 9).buffer) },
      { name: 'empty', dtype: 'F32', shape: [0], data: () => new Uint8Array(0) },
      { name: 'model.a.weight', dtype: 'F32', shape: [2, 20], data: () => values(40) },
      { name: 'model.b.weight', dtype: 'BF16', shape: [20], data: () => new Uint8Array(values(10)) },
      { name: 'moments', dtype: 'U8', shape: [9], data: () => new Uint8Array(9) },
    ],
    { format: 'pt', note: 'a note with "header_crc32":"00000000" in it' },
  );
  const bytes = readFileSync(path);
  return { path, bytes, dataStart: 8 + Number(bytes.readBigUInt64LE(0)) };
}

async function verify(path: string): Promise<boolean> {
  const source = await openSafetensors(path);
  try {
    return await source.verify();
  } finally {
    await source.close();
  }
}

describe('a file of tensors', () => {
  test('is verified as it was written, and its metadata is what was given', async () => {
    const { path } = await writeSample();
    expect(await verify(path)).toBe(true);
    const source = await openSafetensors(path);
    expect(Object.keys(source.metadata)).toEqual(['format', 'note']);
    expect(source.checksum).toMatch(/^[0-9a-f]{8}$/);
    await source.close();
  });

  test('every flipped bit is found; in the data, the tensor is named, and reading it fails too', async () => {
    const { path, bytes, dataStart } = await writeSample();
    const ends = { 'model.a.rows': 8, 'model.a.weight': 168, 'model.b.weight': 208, moments: 217 };
    for (let at = 0; at < bytes.length; at++) {
      writeFileSync(path, flipped(bytes, at));
      const { problems, message } = await modelFileError(() => verify(path));
      expect(message, `byte ${at}`).toContain(path);
      if (at < dataStart) continue;
      const [hit] = required(
        Object.entries(ends).find(([, end]) => at - dataStart < end),
        'a tensor',
      );
      expect(
        problems.map(({ tensor }) => tensor),
        `byte ${at}`,
      ).toEqual([hit]);
      const source = await openSafetensors(path);
      const read = /rows|moments/.test(hit) ? source.readRaw : source.readFloat32;
      expect((await modelFileError(() => read(hit))).problems[0]?.tensor).toBe(hit);
      await source.close();
    }
  });

  test('every bit of the header and the checksums counts', async () => {
    const { path, bytes, dataStart } = await writeSample();
    for (let at = 0; at < dataStart; at += 3)
      for (let bit = 0; bit < 8; bit++) {
        writeFileSync(path, flipped(bytes, at, bit));
        await modelFileError(() => verify(path));
      }
  });

  test('every truncation is found', async () => {
    const { path, bytes } = await writeSample();
    for (let length = 0; length < bytes.length; length += 7) {
      writeFileSync(path, bytes.subarray(0, length));
      await modelFileError(() => verify(path));
    }
  });

  test('written by another program is read, and reported as not verifiable', async () => {
    expect(await verify(goldenPath('llama/model.safetensors'))).toBe(false);
  });
});

describe('a small file of JSON', () => {
  const text = sealJson(JSON.stringify({ version: 1, step: 12, name: 'näme', rows: [1, 2], engine: 'portable' }, null, 2));

  test('is read, with its checksum or without', () => {
    expect(parseSealedJson(text)).toMatchObject({ isSealed: true, value: { step: 12, engine: 'portable' } });
    expect(parseSealedJson('{"step": 3, "engine": "portable"}')).toEqual({ isSealed: false, value: { step: 3, engine: 'portable' } });
  });

  test('every flipped bit and every truncation is found', () => {
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const damaged = Buffer.from(flipped(bytes, at, bit)).toString();
        expect(() => parseSealedJson(damaged), `byte ${at}, bit ${bit}`).toThrow();
      }
      expect(() => parseSealedJson(bytes.subarray(0, at).toString()), `cut at ${at}`).toThrow();
    }
  });
});
