/** Exports to GGUF for tests: the file, its header, and whether it was verified. */
import { join } from 'node:path';
import { expect } from 'vitest';
import { type ExportParams, type ExportResult, exportModel } from '../../../trainer/artifact/export-model.ts';
import type { Engine } from '../../../trainer/engine/engine.ts';
import { openByteFile } from '../../../trainer/format/byte-file.ts';
import { type GgufHeader, readGgufHeader } from '../../../trainer/format/gguf/gguf-header.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { hasLlamaCpp } from '../../../trainer/llama-cpp/llama-cpp-packages.ts';
import { cacheDir } from '../cache-dir.ts';
import { temporaryFolder } from '../machine/temporary-folder.ts';
import { tinyAdapter } from '../models/tiny-adapter.ts';

/** True if llama.cpp is installed here. */
export const LLAMA_CPP = hasLlamaCpp(cacheDir);

export type GgufChange = Partial<ExportParams> & { readonly adapterPath?: string };

/** Exports a base to a new folder; by default, with an adapter of SPSFT. */
export async function exportGguf(engine: Engine, base: string, change: GgufChange = {}): Promise<ExportResult> {
  const adapterPath = change.adapterPath ?? (await tinyAdapter({ engine, method: 'spsft', budget: { r: 4 }, base }));
  return exportModel({
    format: 'gguf',
    outputDir: join(await temporaryFolder(), 'out'),
    overwrite: false,
    engine,
    cacheDir,
    openBase: ({ source }) => openModel(source),
    ...change,
    adapterPath,
  });
}

export const fileOf = ({ outputDir, files }: ExportResult): string =>
  join(outputDir, files.find(name => name.endsWith('.gguf') && !name.startsWith('mmproj-')) ?? '');

/** The file of the encoder of images. @returns undefined if there is none */
export const encoderFileOf = ({ outputDir, files }: ExportResult): string | undefined =>
  files.filter(name => name.startsWith('mmproj-')).map(name => join(outputDir, name))[0];

export async function headerOf(path: string): Promise<GgufHeader> {
  const file = await openByteFile(path);
  return readGgufHeader(file).finally(() => file.close());
}

/** Expects that the logits are within the tolerance, and that llama.cpp computed the same or was reported missing. */
export function expectVerified({ largestDifference, tolerance, crossCheck }: ExportResult): void {
  expect(largestDifference).toBeLessThanOrEqual(tolerance);
  if (!LLAMA_CPP) expect(crossCheck).toEqual({ missing: expect.stringContaining('rowtune engine install --with llama.cpp') });
  else expect(crossCheck).toMatchObject({ program: expect.stringMatching(/^llama\.cpp \d/), tokens: expect.any(Number) });
}
