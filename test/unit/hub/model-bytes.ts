/** Creates small valid and invalid model files for tests, in temporary folders. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { ModelFileError } from '../../../trainer/format/model-file-error.ts';

export const goldenPath = (name: string): string => new URL(`../../golden/${name}`, import.meta.url).pathname;

export function temporaryFolder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'rowtune-hub-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

export function temporaryFile(name: string, bytes: Uint8Array | string): string {
  const path = join(temporaryFolder(), name);
  writeFileSync(path, bytes);
  return path;
}

/** Returns a safetensors file with any header, valid or not. */
export function safetensorsBytes(header: unknown, dataBytes: number, declaredLength?: bigint): Uint8Array {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(declaredLength ?? BigInt(json.length));
  return Buffer.concat([prefix, json, Buffer.alloc(dataBytes)]);
}

/** Returns the ModelFileError that `work` rejects with; anything else fails the test. */
export async function modelFileError(work: () => Promise<unknown>): Promise<ModelFileError> {
  try {
    await work();
  } catch (error) {
    if (error instanceof ModelFileError) return error;
    throw error;
  }
  throw new Error('no error was thrown');
}

/** Deterministic numbers in [0, 1) (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Returns a copy with some bytes of its first `within` changed, or with its end cut off. */
export function damaged(bytes: Uint8Array, within: number, random: () => number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  const changes = 1 + Math.floor(random() * 4);
  for (let i = 0; i < changes; i++) copy[Math.floor(random() * within)] = Math.floor(random() * 256);
  return random() < 0.2 ? copy.subarray(0, Math.floor(random() * copy.length)) : copy;
}
