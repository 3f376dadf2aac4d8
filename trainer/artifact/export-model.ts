/** Writes what a run trained in an export format, opens the result again, and compares its logits before it is put in place. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExportFormat } from '../catalog/artifacts.ts';
import type { Engine } from '../engine/engine.ts';
import { ModelFileError } from '../format/model-file-error.ts';
import type { Tokenizer } from '../format/tokenizer/tokenizer.ts';
import type { ModelFolder } from '../hub/open-model.ts';
import { type Adapter, type AdapterBase, modelOfAdapter } from './adapter/adapter.ts';
import { applyAdapter } from './adapter/apply-adapter.ts';
import { readAdapter } from './adapter/read-adapter.ts';
import type { ArtifactOptions, Form } from './artifact.ts';
import { artifacts } from './artifacts.ts';
import { ExportError } from './export-error.ts';
import { buildFolder } from './output-folder.ts';
import { compareLogits, type Difference, smokeIds, smokeLogits } from './smoke-test.ts';

export interface ExportParams extends ArtifactOptions {
  /** A run folder, a checkpoint, an exported adapter, or PEFT's LoRA. */
  readonly adapterPath: string;
  readonly format: ExportFormat;
  readonly outputDir: string;
  readonly overwrite: boolean;
  readonly engine: Engine;
  /** Opens the model that the adapter names; it is closed here. */
  readonly openBase: (base: AdapterBase) => Promise<ModelFolder>;
}

export interface ExportResult {
  readonly format: ExportFormat;
  readonly outputDir: string;
  readonly bytes: number;
  readonly files: readonly string[];
  /** Between the export, opened again from the disk, and the tuned model, on the smoke prompt. */
  readonly largestDifference: number;
  readonly tolerance: number;
  readonly promptTokens: number;
}

/** @throws ExportError, AdapterError, ModelFileError; `outputDir` is then as it was */
export async function exportModel(params: ExportParams): Promise<ExportResult> {
  const { onEvent } = params;
  const adapter = await readAdapter(params.adapterPath);
  try {
    onEvent?.({ type: 'phase', name: 'load', message: `opening ${adapter.description.base.source}` });
    const folder = await params.openBase(adapter.description.base);
    try {
      return await exportOpen(params, adapter, folder);
    } finally {
      await folder.weights.close();
    }
  } finally {
    await adapter.close();
  }
}

async function exportOpen(params: ExportParams, adapter: Adapter, folder: ModelFolder): Promise<ExportResult> {
  const { engine, format, outputDir, overwrite, onEvent } = params;
  const model = modelOfAdapter(folder.config, adapter.description);
  const fingerprint = await folder.weights.fingerprint();
  const tuned = { model, ...(await applyAdapter({ model, weights: folder.weights, fingerprint, adapter })) };
  const takesImages = model.kind === 'classifier' && model.input.kind === 'image';
  const tokenizer = takesImages ? undefined : await tokenizerOf(folder, onEvent);
  const form = artifacts[format]({ adapter, folder, model, tokenizer, fingerprint }, params);
  const ids = smokeIds(model, tokenizer);
  const build = async (dir: string): Promise<Difference> => {
    onEvent?.({ type: 'phase', name: 'export', message: `writing ${outputDir}` });
    await form.write(dir);
    onEvent?.({
      type: 'phase',
      name: 'verify',
      message: `comparing the export with the tuned model on ${ids.length > 0 ? `${ids.length} tokens` : 'an image'}`,
    });
    const expected = await smokeLogits(engine, tuned, ids);
    return checkExport(engine, form, { dir, outputDir, ids, expected });
  };
  const { largest, tolerance } = await buildFolder(
    { outputDir, format, overwrite, bytes: form.bytes, inputs: [adapter.dir, folder.dir] },
    build,
  );
  onEvent?.({
    type: 'log',
    level: 'info',
    message: `largest difference of a logit: ${largest.toExponential(2)} (at most ${tolerance.toExponential(2)})`,
  });
  const files = (await readdir(outputDir)).sort();
  const sizes = await Promise.all(files.map(async file => (await stat(join(outputDir, file))).size));
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  return { format, outputDir, bytes, files, largestDifference: largest, tolerance, promptTokens: ids.length };
}

async function checkExport(
  engine: Engine,
  form: Form,
  { dir, outputDir, ids, expected }: { dir: string; outputDir: string; ids: Int32Array; expected: Float32Array },
): Promise<Difference> {
  const exported = await form.reopen(dir);
  try {
    const difference = compareLogits(await smokeLogits(engine, exported, ids), expected, form.types);
    if (difference.largest <= difference.tolerance) return difference;
    throw new ExportError(
      `the export differs from the tuned model by ${difference.largest.toPrecision(3)} in a logit, more than ${difference.tolerance.toPrecision(3)}; nothing was written to ${outputDir}: report this with the recipe`,
    );
  } finally {
    await exported.close();
  }
}

async function tokenizerOf(folder: ModelFolder, onEvent: ExportParams['onEvent']): Promise<Tokenizer | undefined> {
  try {
    return await folder.loadTokenizer();
  } catch (error) {
    // A tokenizer that could not be read is there: an export without it would be incomplete.
    if (!(error instanceof ModelFileError) || error.isUnread) throw error;
    onEvent?.({ type: 'log', level: 'warning', message: `no tokenizer travels along: ${error.message}` });
    return undefined;
  }
}
