/** Writes what a run trained in one of three forms, opens the result again, and compares its logits before it is put in place. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExportFormat } from '../catalog/artifacts.ts';
import type { Engine } from '../engine/engine.ts';
import { ModelFileError } from '../format/model-file-error.ts';
import type { Tokenizer } from '../format/tokenizer/tokenizer.ts';
import { type ModelFolder, openModel } from '../hub/open-model.ts';
import { loadModel } from '../model/load-model.ts';
import type { AnyModel } from '../model/model-spec.ts';
import type { WorkerEvent } from '../protocol/job-messages.ts';
import { type Adapter, type AdapterBase, modelOfAdapter } from './adapter/adapter.ts';
import { applyAdapter } from './adapter/apply-adapter.ts';
import { readAdapter } from './adapter/read-adapter.ts';
import { writeAdapter } from './adapter/write-adapter.ts';
import { ExportError } from './export-error.ts';
import { type MergedParams, mergedBytes, tunedTypes, type WeightType, writeMerged } from './merged/merged-folder.ts';
import { buildFolder } from './output-folder.ts';
import { peftBytes, writePeft } from './peft/peft-folder.ts';
import { compareLogits, type Difference, smokeIds, smokeLogits, type TunedModel } from './smoke-test.ts';

export interface ExportParams {
  /** A run folder, a checkpoint, an exported adapter, or PEFT's LoRA. */
  readonly adapterPath: string;
  readonly format: ExportFormat;
  readonly outputDir: string;
  readonly overwrite: boolean;
  readonly engine: Engine;
  /** Opens the model that the adapter names; it is closed here. */
  readonly openBase: (base: AdapterBase) => Promise<ModelFolder>;
  /** merged, on a GGUF base alone; left out: float32. */
  readonly ggufType?: WeightType;
  readonly onEvent?: (event: WorkerEvent) => void;
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

interface Form {
  readonly bytes: number;
  readonly write: (dir: string) => Promise<unknown>;
  /** Opens what was written, as its user will. */
  readonly reopen: (dir: string) => Promise<TunedModel & { readonly close: () => Promise<void> }>;
  /** What trained numbers were rounded to. */
  readonly types: Iterable<string>;
}

interface Opened {
  readonly adapter: Adapter;
  readonly folder: ModelFolder;
  readonly model: AnyModel;
  readonly tokenizer: Tokenizer | undefined;
  readonly fingerprint: string;
}

async function exportOpen(params: ExportParams, adapter: Adapter, folder: ModelFolder): Promise<ExportResult> {
  const { engine, format, outputDir, overwrite, onEvent } = params;
  const model = modelOfAdapter(folder.config, adapter.description);
  const fingerprint = await folder.weights.fingerprint();
  const tuned = { model, ...(await applyAdapter({ model, weights: folder.weights, fingerprint, adapter })) };
  const takesImages = model.kind === 'classifier' && model.input.kind === 'image';
  const tokenizer = takesImages ? undefined : await tokenizerOf(folder, onEvent);
  const form = forms[format]({ adapter, folder, model, tokenizer, fingerprint }, params);
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
    if (!(error instanceof ModelFileError)) throw error;
    onEvent?.({ type: 'log', level: 'warning', message: `no tokenizer travels along: ${error.message}` });
    return undefined;
  }
}

const forms: Readonly<Record<ExportFormat, (opened: Opened, params: ExportParams) => Form>> = {
  adapter: opened => {
    const { adapter, folder, fingerprint } = opened;
    const tensors = [...adapter.tensors.values()].map(({ name, shape }) => ({ name, shape, data: () => adapter.readFloat32(name) }));
    const architecture = String([folder.config.architectures].flat()[0] ?? '');
    const description = { ...adapter.description, base: { ...adapter.description.base, fingerprint, architecture } };
    return {
      bytes: tensors.reduce((sum, { shape }) => sum + shape.reduce((n, d) => n * d, 4), 0),
      write: dir => writeAdapter(dir, { description, tensors }),
      reopen: dir => reopenAdapter(dir, opened),
      types: ['F32'],
    };
  },
  peft: opened => {
    const peft = { ...opened, weights: opened.folder.weights };
    return { bytes: peftBytes(peft), write: dir => writePeft(dir, peft), reopen: dir => reopenAdapter(dir, opened), types: ['F32'] };
  },
  merged: (opened, { ggufType = 'float32', onEvent }) => {
    const merged: MergedParams = {
      ...opened,
      ggufType,
      onTensor: (done, total) => onEvent?.({ type: 'progress', phase: 'export', done, total, unit: 'tensors' }),
    };
    return {
      bytes: mergedBytes(merged),
      write: dir => writeMerged(dir, merged),
      reopen: dir => reopenMerged(dir, opened),
      types: tunedTypes(merged),
    };
  },
};

async function reopenAdapter(dir: string, { folder: { weights }, model, fingerprint }: Opened) {
  const adapter = await readAdapter(dir);
  return { model, ...(await applyAdapter({ model, weights, fingerprint, adapter })), close: () => adapter.close() };
}

/** @throws ExportError where the tokenizer of the copy is not the base's */
async function reopenMerged(dir: string, { model, tokenizer }: Opened) {
  const folder = await openModel(dir);
  const close = () => folder.weights.close();
  try {
    const copy = loadModel(folder.config);
    if (tokenizer) {
      const found = await folder.loadTokenizer();
      const isSame = smokeIds(copy, found).join() === smokeIds(model, tokenizer).join() && found.eosIds.join() === tokenizer.eosIds.join();
      if (!isSame)
        throw new ExportError('the tokenizer or chat template of the export is not the base’s: report this with the name of the base');
    }
    return { model: copy, weights: folder.weights, close };
  } catch (error) {
    await close();
    throw error;
  }
}
