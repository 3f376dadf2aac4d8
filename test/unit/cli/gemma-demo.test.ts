/** Tests `npm run demo -- gemma`: the license is shown first, and nothing is downloaded before it is accepted. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';
import { ensureGemma } from '../../../scripts/demo/gemma.mjs';
import { expectFile } from '../../../scripts/demo/wheel-file.mjs';

const parent = mkdtempSync(path.join(tmpdir(), 'rowtune-gemma-'));
afterAll(() => rmSync(parent, { recursive: true, force: true }));
const newFolder = (): string => mkdtempSync(path.join(parent, 'cache-'));

/** Calls a function and returns what it wrote to the terminal. */
async function said(call: () => Promise<unknown>): Promise<string> {
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  try {
    await call();
    return write.mock.calls.map(([text]) => String(text)).join('');
  } finally {
    write.mockRestore();
  }
}

const LICENSE = /Gemma Terms of Use found at\s+https:\/\/ai\.google\.dev\/gemma\/terms/;

test('without the flag the license is shown, the flag is named, and nothing is downloaded', async () => {
  const cache = newFolder();
  const refused = async () => expect(ensureGemma(cache, false)).rejects.toThrow(/has not been accepted.*--accept-gemma-terms/s);
  expect(await said(refused)).toMatch(LICENSE);
  expect(existsSync(path.join(cache, 'models'))).toBe(false);
});

test('with the flag the license is shown too, and a file that is there is taken', async () => {
  const cache = newFolder();
  const file = path.join(cache, 'models', 'gemma3', 'gemma-3-270m-q4_k_m.gguf');
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, '');
  truncateSync(file, 253_113_024);
  const taken = async () => expect(await ensureGemma(cache, true)).toBe(file);
  expect(await said(taken)).toMatch(LICENSE);
});

test('a download with other bytes is refused', async () => {
  const file = path.join(newFolder(), 'a');
  writeFileSync(file, 'abc');
  const sha256 = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
  await expectFile(file, { bytes: 3, sha256 }, 'the package');
  await expect(expectFile(file, { bytes: 3, sha256: `${sha256.slice(1)}0` }, 'the package')).rejects.toThrow(/in the package is not/);
  await expect(expectFile(file, { bytes: 4, sha256 }, 'the package')).rejects.toThrow(/in the package is not/);
});
