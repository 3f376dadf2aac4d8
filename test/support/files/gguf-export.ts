/** An export to GGUF as tests look at it: its file, the file's header, and whether it was verified. */
import { join } from 'node:path';
import { expect } from 'vitest';
import type { ExportResult } from '../../../trainer/artifact/export-model.ts';
import { openByteFile } from '../../../trainer/format/byte-file.ts';
import { type GgufHeader, readGgufHeader } from '../../../trainer/format/gguf/gguf-header.ts';
import { hasLlamaCpp } from '../../../trainer/llama-cpp/llama-cpp-packages.ts';
import { cacheDir } from '../cache-dir.ts';

/** Whether llama.cpp is installed here. */
export const LLAMA_CPP = hasLlamaCpp(cacheDir);

export const fileOf = ({ outputDir, files }: ExportResult): string => join(outputDir, files.find(name => name.endsWith('.gguf')) ?? '');

export async function headerOf(path: string): Promise<GgufHeader> {
  const file = await openByteFile(path);
  return readGgufHeader(file).finally(() => file.close());
}

/** Expects logits within the tolerance, and that llama.cpp computed the same or was reported missing. */
export function expectVerified({ largestDifference, tolerance, crossCheck }: ExportResult): void {
  expect(largestDifference).toBeLessThanOrEqual(tolerance);
  if (!LLAMA_CPP) expect(crossCheck).toEqual({ missing: expect.stringContaining('rowtune engine install --with llama.cpp') });
  else expect(crossCheck).toMatchObject({ program: expect.stringMatching(/^llama\.cpp \d/), tokens: expect.any(Number) });
}
