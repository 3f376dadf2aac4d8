/** Finds the headers of a recipe's model, for commands that load no weights. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { DownloadOptions } from '../hub/hub-download.ts';
import { HubError } from '../hub/hub-error.ts';
import { readHubHeaders } from '../hub/hub-headers.ts';
import { openModel } from '../hub/open-model.ts';
import type { HeadersSource } from '../lint/facts/estimate-model.ts';
import { isHubName } from '../protocol/hub-name.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';
import { teacherOf } from '../protocol/recipe/rules/distillation-rules.ts';
import { rewardModelOf } from '../protocol/recipe/rules/generation-rules.ts';
import { isRunFolder, readRunRecipe } from '../run/run-folder.ts';
import type { CommandContext } from './command.ts';

/**
 * Reads the headers of a model. A model on the hub takes a few kilobytes. One that exists only as GGUF is downloaded, because its run needs
 * it anyway.
 */
export async function modelHeaders(
  { settings, terminal }: CommandContext,
  { model, revision }: Pick<Recipe, 'model' | 'revision'>,
  baseDir: string,
): Promise<HeadersSource> {
  const local = path.resolve(baseDir, model);
  if (existsSync(local)) return { model: local };
  const options: DownloadOptions = {
    cacheDir: settings.cacheDir,
    revision,
    ...settings.hub,
    onWarning: message => terminal.say('warning', message),
    onProgress: ({ bytes, totalBytes, file }) =>
      terminal.progress.update({ type: 'progress', phase: 'download', done: bytes, total: totalBytes, unit: 'bytes', message: file }),
  };
  try {
    if (isHubName(model)) return { headers: await readHubHeaders(model, options) };
  } catch (error) {
    if (!(error instanceof HubError) || error.failure !== 'missing') throw error;
  }
  const folder = await openModel(model, options);
  await folder.weights.close();
  return { headers: { config: folder.config, tensors: folder.weights.tensors } };
}

/** The title of a table row below the activations. */
export const JUDGE_ROW = 'the reward model, while no batch trains';
/** The title of a table row next to the memory of the teacher's pass. */
export const TEACHER_ROW = 'the teacher, before the model is loaded';

/** The title of a table row next to the memory of the encoder of images. */
export const ENCODER_ROW = 'the encoder of images, before the model is loaded';

/** The headers of the reward model that scores a recipe's answers, or of the base if it is a run; undefined if there is none. */
export async function judgeHeaders(context: CommandContext, recipe: Recipe, baseDir: string): Promise<HeadersSource | undefined> {
  const name = rewardModelOf(recipe);
  if (name === undefined) return undefined;
  const local = path.resolve(baseDir, name);
  return modelHeaders(context, (await isRunFolder(local)) ? await readRunRecipe(local) : { model: name, revision: 'main' }, baseDir);
}

/** The headers of the teacher; undefined if there is none. */
export async function teacherHeaders(context: CommandContext, recipe: Recipe, baseDir: string): Promise<HeadersSource | undefined> {
  const teacher = teacherOf(recipe);
  return teacher && modelHeaders(context, teacher, baseDir);
}
