/** Opens the engine, the base model and its tokenizer for a job. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { engineCatalog, hostingEngines } from '../catalog/engines.ts';
import { namesWhere, orList } from '../catalog/entries.ts';
import { chatRendererOf } from '../data/chat/chat-renderer.ts';
import type { ChatRenderer } from '../data/types.ts';
import { chooseEngine } from '../engine/choose-engine.ts';
import type { Engine } from '../engine/engine.ts';
import { openEngine } from '../engine/open-engine.ts';
import type { Tokenizer } from '../format/tokenizer/tokenizer.ts';
import { type ModelFolder, openModel } from '../hub/open-model.ts';
import { HOSTED_FROM } from '../model/hosted-weights.ts';
import { loadModel } from '../model/load-model.ts';
import type { AnyModel } from '../model/model-spec.ts';
import type { VisionEncoder } from '../model/vision/vision-encoder.ts';
import { checkWeights } from '../model/weight-stream.ts';
import { isHubName } from '../protocol/hub-name.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';
import { counted } from '../protocol/text/format.ts';
import { RunError } from '../run-error.ts';
import type { JobScope, RecipeScope } from './job-scope.ts';
import { openVision } from './open-vision.ts';
import { yieldingEngine } from './yielding-engine.ts';

/** A model with its files: enough to read data for it. */
export interface BaseFiles<M extends AnyModel = AnyModel> {
  readonly folder: ModelFolder;
  /** The model as config.json describes it; a task may use another head. */
  readonly model: M;
  /** Returns the time when the run began, for chat templates that contain the date. */
  readonly now?: () => Date;
}

/** A model on an engine. */
export interface Base extends BaseFiles {
  readonly engine: Engine;
  readonly fingerprint: string;
}

interface Reads {
  readonly tokenizer: Tokenizer;
  /** Present if the model has a chat template. */
  readonly chatRenderer?: ChatRenderer;
  /** Present if the model reads images. */
  readonly vision?: VisionEncoder | undefined;
}

/** A model that reads text. */
export interface TextBase<M extends AnyModel = AnyModel> extends BaseFiles<M>, Reads {}

/** A base model: a folder, a GGUF file, or a name on the hub with a revision. */
export interface ModelName {
  readonly model: string;
  readonly revision: string;
}

export interface JobEngineOptions {
  /** Number of devices that the engine uses; 1 if left out. */
  readonly devices?: number | undefined;
  /** The place of the weights, for programs that only read a model; the compute device if left out. */
  readonly baseOffload?: Recipe['base_offload'] | undefined;
}

/**
 * Opens the engine that recipe and environment choose; a fallback is shown as a warning. The engine lets messages through between runs.
 * @throws RunError 'unsupported' if the engine has fewer devices, or keeps all weights on the device
 */
export async function openJobEngine(
  { context, job }: JobScope,
  requested: Recipe['engine'],
  { devices = 1, baseOffload = 'none' }: JobEngineOptions = {},
): Promise<Engine> {
  const { cacheDir, engineFromEnvironment: fromEnvironment } = context;
  const { name, warning, remedy } = chooseEngine({ requested, fromEnvironment, cacheDir });
  if (warning) job.log('warning', `${warning}. To install it: ${remedy}`);
  const engine = await openEngine(name, { cacheDir, log: line => job.log('info', line), devices });
  checkDevices(engine, devices);
  job.log('info', `engine: ${engine.description.summary}`);
  const yielding = yieldingEngine(engine, job);
  return baseOffload === 'none' ? yielding : { ...yielding, hostFrom: hostFromOn(engine.description) };
}

/** @throws RunError 'unsupported' for an engine that keeps all weights on the device */
function hostFromOn({ name }: Engine['description']): number {
  const { label, hostsWeights } = engineCatalog[name];
  if (hostsWeights) return HOSTED_FROM;
  throw new RunError(
    'unsupported',
    `base_offload: host is not possible: the ${label} engine keeps all weights in the memory of the compute device`,
    `Choose the engine ${orList(hostingEngines)}, or base_offload: none`,
  );
}

/** @throws RunError 'unsupported' if an engine has fewer devices than a run needs */
function checkDevices(
  { description: { name, summary }, devices: found = 1 }: Pick<Engine, 'description' | 'devices'>,
  wanted: number,
): void {
  if (found >= wanted) return;
  const { label, replicates } = engineCatalog[name];
  throw new RunError(
    'unsupported',
    replicates
      ? `devices: ${wanted} is not possible: ${summary} has ${counted(found, 'device')} here`
      : `devices: ${wanted} is not possible: the ${label} engine trains on one device`,
    replicates
      ? `Set devices: ${found}. CUDA_VISIBLE_DEVICES may hide GPUs`
      : `Set engine: ${orList(namesWhere(engineCatalog, entry => entry.replicates === true))}, or start a process for each device with processes`,
  );
}

/**
 * Opens the base model of a recipe. The caller closes `folder.weights`.
 * @param now returns the time when the run began, for chat templates that contain the date, so that a resumed run sees the same prompts
 * @param devices number of devices that the engine uses
 */
export async function openBase(scope: RecipeScope, now?: () => Date, devices?: number): Promise<Base> {
  const { job, recipe } = scope;
  job.phase('load', `opening ${recipe.model}`);
  const engine = await openJobEngine(scope, recipe.engine, { devices, baseOffload: recipe.base_offload });
  const folder = await openModelFolder(scope, recipe);
  try {
    const model = loadModel(folder.config);
    checkWeights(model, folder.weights);
    const fingerprint = await folder.weights.fingerprint();
    job.note('info', `${model.family}, ${model.blocks} blocks, hidden size ${model.hiddenSize}; weights ${fingerprint.slice(0, 12)}`);
    if (model.remark) job.note('warning', model.remark);
    return { engine, folder, model, fingerprint, now };
  } catch (error) {
    await folder.weights.close();
    throw error;
  }
}

/**
 * Adds the model's own tokenizer, and its encoder of images.
 * @param maxPixels see `openVision`
 * @throws ModelFileError if it has no tokenizer; errors of `openVision`
 */
export async function withTokenizer<B extends BaseFiles>(base: B, maxPixels?: number): Promise<B & Reads> {
  const tokenizer = await base.folder.loadTokenizer();
  const vision = await openVision(base.folder, base.model, maxPixels);
  return { ...base, tokenizer, vision, chatRenderer: chatRendererOf(tokenizer, base.now, vision?.placeholder) };
}

/** Calls `use` and returns its result, then closes the weights. */
export async function withModelFolder<T>(scope: JobScope, name: ModelName, use: (folder: ModelFolder) => Promise<T>): Promise<T> {
  const folder = await openModelFolder(scope, name);
  try {
    return await use(folder);
  } finally {
    await folder.weights.close();
  }
}

/** Opens a model. A path is relative to the recipe's folder; a name that is not a path there is looked up on the hub. */
export async function openModelFolder({ context, job }: JobScope, { model, revision }: ModelName): Promise<ModelFolder> {
  const local = path.resolve(context.baseDir, model);
  if (existsSync(local)) return openModel(local);
  if (isHubName(model)) job.log('info', `${local} does not exist: looking for ${model} on the hub`);
  let report: ((done: number, message?: string) => void) | undefined;
  return openModel(model, {
    cacheDir: context.cacheDir,
    revision,
    ...context.hub,
    signal: job.signal,
    onWarning: message => job.log('warning', message),
    onProgress: ({ bytes, totalBytes, file }) => {
      report ??= job.progress('download', totalBytes, 'bytes', bytes);
      report(bytes, file);
    },
  }).catch(error => {
    // An AbortError does not contain the reason.
    job.checkStop();
    throw error;
  });
}
