/** Writes the result of a run in an export format, opens it again, and compares its logits before it is moved into place. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Adapter, type AdapterBase, modelOfAdapter } from '../adapter/adapter.ts';
import { applyAdapter } from '../adapter/apply-adapter.ts';
import { fitAdapter } from '../adapter/fit-adapter.ts';
import { readAdapter } from '../adapter/read-adapter.ts';
import { artifactCatalog, type ExportFormat, typesOf } from '../catalog/artifacts.ts';
import type { Engine } from '../engine/engine.ts';
import { writeTextFile } from '../files/durable-file.ts';
import { ModelFileError } from '../format/model-file-error.ts';
import type { Tokenizer } from '../format/tokenizer/tokenizer.ts';
import type { ModelFolder } from '../hub/open-model.ts';
import type { AnyModel } from '../model/model-spec.ts';
import type { ArtifactOptions, Form } from './artifact.ts';
import { artifacts } from './artifacts.ts';
import { checkMerge } from './check-merge.ts';
import { differing, ExportError } from './export-error.ts';
import { exportedFiles } from './export-manifest.ts';
import { type CardFacts, modelCard } from './model-card.ts';
import { buildFolder } from './output-folder.ts';
import { compareLogits, smokeIds, smokeLogits } from './smoke-test.ts';
import { type ExportComparison, type Verified, verifiedLines } from './verified-lines.ts';

export interface ExportParams extends ArtifactOptions {
  /** A run folder, a checkpoint, an exported adapter, or PEFT's LoRA. */
  readonly adapterPath: string;
  readonly format: ExportFormat;
  readonly outputDir: string;
  readonly overwrite: boolean;
  readonly engine: Engine;
  /** Facts about the run for a model card; without them, no card is written. */
  readonly card?: CardFacts | undefined;
  /** The base model, if it is no longer where the adapter names it. */
  readonly base?: string | undefined;
  /** Opens `base`, or else the model that the adapter names; it is closed here. */
  readonly openBase: (base: AdapterBase) => Promise<ModelFolder>;
}

export interface ExportResult extends ExportComparison {
  readonly format: ExportFormat;
  readonly outputDir: string;
  readonly bytes: number;
  readonly files: readonly string[];
  /** The largest difference on the smoke prompt between the tuned model and the export after reopening it from disk. */
  readonly largestDifference: number;
  readonly tolerance: number;
  readonly promptTokens: number;
  /** Commands that use the result, by program. */
  readonly commands?: Readonly<Record<string, string>>;
}

/** Exports a model. @throws ExportError, AdapterError, ModelFileError; `outputDir` is then unchanged */
export async function exportModel(params: ExportParams): Promise<ExportResult> {
  const { onEvent } = params;
  checkType(params);
  const read = await readAdapter(params.adapterPath);
  const { base } = read.description;
  const adapter: Adapter = { ...read, description: { ...read.description, base: { ...base, source: params.base ?? base.source } } };
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

function checkType({ format, type }: ExportParams): void {
  const types = typesOf(format);
  if (type === undefined || types.includes(type)) return;
  const offered = types.length > 0 ? `choose one of ${types.join(', ')}` : 'this format has no types, so leave it out';
  throw new ExportError(`${artifactCatalog[format].label} has no type ${type}: ${offered}`);
}

async function exportOpen(params: ExportParams, given: Adapter, folder: ModelFolder): Promise<ExportResult> {
  const { engine, format, outputDir, overwrite, onEvent } = params;
  const model = modelOfAdapter(folder.config, given.description);
  const adapter = await fitAdapter(given, model);
  const fingerprint = await folder.weights.fingerprint();
  const tuned = { model, ...(await applyAdapter({ model, weights: folder.weights, fingerprint, adapter })) };
  const takesImages = model.kind === 'classifier' && model.input.kind === 'image';
  const tokenizer = takesImages ? undefined : await tokenizerOf(folder, onEvent);
  const form = await artifacts[format]({ adapter, folder, model, tokenizer, fingerprint }, params);
  const ids = smokeIds(model, tokenizer);
  const build = async (dir: string): Promise<Verified> => {
    onEvent?.({ type: 'phase', name: 'export', message: `writing ${outputDir}` });
    await form.write(dir);
    onEvent?.({
      type: 'phase',
      name: 'verify',
      message: `comparing the export with the tuned model on ${ids.length > 0 ? `${ids.length} tokens` : 'an image'}`,
    });
    const expected = await smokeLogits(engine, tuned, ids);
    if (form.isRounded) await checkMerge(engine, { model, adapter, weights: folder.weights, ids, expected, outputDir });
    const verified = await checkExport(engine, form, { dir, outputDir, ids, expected, model });
    const { commands, library } = form;
    if (params.card)
      await writeTextFile(
        join(dir, 'README.md'),
        modelCard(params.card, { format, type: params.type, library, commands, verified: verifiedLines(verified, form, ids.length) }),
      );
    return verified;
  };
  const { largest, tolerance, ...verified } = await buildFolder(
    { outputDir, format, overwrite, bytes: form.bytes, commands: form.commands, inputs: [adapter.dir, folder.dir] },
    build,
  );
  const lines = verifiedLines({ largest, tolerance, ...verified }, form, ids.length);
  const isUnchecked = verified.crossCheck !== undefined && 'missing' in verified.crossCheck;
  for (const [i, message] of lines.entries())
    onEvent?.({
      type: 'log',
      level:
        (isUnchecked && i === lines.length - 1) || (i === 1 && form.isCoarse && (verified.changedTokens ?? 0) > 0) ? 'warning' : 'info',
      message,
    });
  const files = await exportedFiles(outputDir);
  const sizes = await Promise.all(files.map(async file => (await stat(join(outputDir, file))).size));
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  const { commands } = form;
  return {
    ...{ format, outputDir, bytes, files, largestDifference: largest, tolerance, promptTokens: ids.length },
    ...verified,
    ...(commands && { commands }),
  };
}

/** Number of positions whose largest logit is that of another token; logits are [tokens · vocabulary]. */
function changedTokens(found: Float32Array, expected: Float32Array, tokens: number): number {
  const width = expected.length / tokens;
  const best = (logits: Float32Array, at: number): number => {
    let most = at * width;
    for (let i = at * width; i < (at + 1) * width; i++) if ((logits[i] as number) > (logits[most] as number)) most = i;
    return most;
  };
  return Array.from({ length: tokens }, (_, at) => at).filter(at => best(found, at) !== best(expected, at)).length;
}

interface CheckParams {
  readonly dir: string;
  readonly outputDir: string;
  readonly ids: Int32Array;
  /** Logits of the tuned model. */
  readonly expected: Float32Array;
  /** The tuned model. */
  readonly model: AnyModel;
}

async function checkExport(engine: Engine, form: Form, { dir, outputDir, ids, expected, model }: CheckParams): Promise<Verified> {
  const exported = await form.reopen(dir);
  try {
    const found = await smokeLogits(engine, exported, ids);
    const wanted = form.isRounded
      ? await smokeLogits(engine, { model, weights: exported.weightsOfBase ?? exported.weights }, ids)
      : expected;
    const difference = compareLogits(found, wanted);
    if (difference.largest > difference.tolerance) throw differing('the export differs from the tuned model', difference, outputDir);
    const crossCheck = await form.crossCheck?.(dir, exported, engine);
    return {
      ...difference,
      ...(form.isRounded && {
        roundingDifference: compareLogits(found, expected).largest,
        ...(model.kind === 'causal' && { changedTokens: changedTokens(found, expected, ids.length) }),
      }),
      ...(crossCheck && { crossCheck }),
    };
  } finally {
    await exported.close();
  }
}

async function tokenizerOf(folder: ModelFolder, onEvent: ExportParams['onEvent']): Promise<Tokenizer | undefined> {
  try {
    return await folder.loadTokenizer();
  } catch (error) {
    // If the tokenizer exists but could not be read, an export without it would be incomplete.
    if (!(error instanceof ModelFileError) || error.isUnread) throw error;
    onEvent?.({ type: 'log', level: 'warning', message: `no tokenizer travels along: ${error.message}` });
    return undefined;
  }
}
