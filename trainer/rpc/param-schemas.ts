/** Schemas of the parameters of each request, checked before its handler runs; the compiler compares them with the protocol's types. */

import path from 'node:path';
import { z } from 'zod';
import { exportFormats, exportTypes } from '../catalog/artifacts.ts';
import { engineChoiceNames } from '../catalog/engines.ts';
import { methodNames } from '../catalog/methods.ts';
import { objectiveNames } from '../catalog/objectives.ts';
import { baseForms, basePlaces, inferenceTypes } from '../protocol/messages/job-messages.ts';
import { type RequestName, type RequestParams, TAILED_FILES } from '../protocol/messages/rpc-messages.ts';
import { imageBytes, imagesProblem, isImageUrl } from '../protocol/prompt-images.ts';
import { MAX_SAMPLES } from '../protocol/view/compared-sample.ts';
import { DATA_PARTS } from '../protocol/view/data.ts';
import { DaemonError } from './daemon-error.ts';

/** Maximum length of names and paths: longer than any path of an operating system. */
const MAX_TEXT = 4096;
/** Maximum length of a recipe, as in the command line's recipe reader. */
const MAX_RECIPE_CHARACTERS = 2 ** 20;
const MAX_LIST = 256;
/** Maximum number of samples per page: a page of long samples has to fit in a message. */
const MAX_SHOWN_SAMPLES = 50;
/** Maximum number of messages in a conversation. */
const MAX_MESSAGES = 10_000;

const text = z.string().min(1).max(MAX_TEXT);
/** Resolves `.`, `..` and a trailing slash, so that a folder has only one name. */
const absolute = text.refine(path.isAbsolute, 'an absolute path').transform(given => path.resolve(given));
const id = z.string().min(1).max(200);
const folders = z.array(absolute).max(MAX_LIST);
const priority = z.number().min(-1000).max(1000);
const start = { id, priority: priority.optional() };
const overrides = z.array(text).max(MAX_LIST).optional();
const engine = z.enum(engineChoiceNames);
const recipe = z.strictObject({
  text: z.string().max(MAX_RECIPE_CHARACTERS),
  fileName: z.string().max(MAX_TEXT),
  baseDir: absolute,
  overrides,
});
const nothing = z.strictObject({});
const oneJob = z.strictObject({ id });

const prompt = z.string().max(2 ** 20);
/** A conversation; the maximum size of a message bounds its text. */
const conversation = z.strictObject({
  messages: z.array(z.looseObject({ role: text, content: z.unknown() })).max(MAX_MESSAGES),
  tools: z.array(z.looseObject({})).max(MAX_MESSAGES).optional(),
});

/** Images of a prompt: data URLs, or absolute paths on this machine. */
const images = z
  .array(z.string().refine(image => isImageUrl(image) || path.isAbsolute(image), 'a data URL of an image, or an absolute path'))
  .superRefine((given, context) => {
    const problem = imagesProblem(given.map(image => (isImageUrl(image) ? imageBytes(image) : 0)));
    if (problem !== undefined) context.addIssue(problem);
  });

const tags = z.array(text).max(MAX_LIST).optional();
const notesChange = z.strictObject({
  name: z.string().max(MAX_TEXT).optional(),
  addTags: tags,
  removeTags: tags,
  note: z.string().max(MAX_RECIPE_CHARACTERS).optional(),
  pinned: z.boolean().optional(),
  archived: z.boolean().optional(),
});

/** A day. */
const MAX_KEEP_SECONDS = 86_400;

const generateOptions = z.strictObject({
  engine,
  baseOffload: z.enum(basePlaces).optional(),
  dtype: z.enum(inferenceTypes).optional(),
  quantize: z.enum(baseForms).optional(),
  chat: z.boolean(),
  maxNewTokens: z.int().min(1).max(1_000_000),
  temperature: z.number().min(0).max(100),
  topP: z.number().min(0).max(1),
  topK: z.int().min(0),
  seed: z
    .int()
    .min(0)
    .max(2 ** 32 - 1),
});

const paramSchemas: { readonly [Name in RequestName]: z.ZodType<RequestParams<Name>> } = {
  // Loose, because a newer client may send more fields.
  initialize: z.object({
    protocol: z.int(),
    client: z.object({ name: text, version: text }),
    capabilities: z.object({ events: z.boolean() }),
  }),
  daemonStatus: nothing,
  engineStatus: nothing,
  listModels: z.strictObject({ folders }),
  modelTasks: z.strictObject({ model: absolute }),
  readsImages: z.strictObject({ model: text, revision: text, baseDir: absolute }),
  newRecipe: z.strictObject({
    model: text,
    data: text.optional(),
    task: z.enum(objectiveNames).optional(),
    method: z.enum(methodNames),
    baseDir: absolute,
  }),
  describeData: z.strictObject({ files: z.array(absolute).max(MAX_LIST) }),
  listChatModels: z.strictObject({ folders }),
  countTokens: z.strictObject({ runDir: absolute, texts: z.array(prompt).max(MAX_MESSAGES) }),
  listRuns: z.strictObject({ folders }),
  tailRun: z.strictObject({ runDir: absolute, file: z.enum(TAILED_FILES), from: z.int().min(0), version: z.string().max(200).optional() }),
  readScores: z.strictObject({ path: absolute, from: z.int().min(0), version: z.string().max(200).optional() }),
  deleteRun: z.strictObject({ runDir: absolute }),
  clusterProfiles: z.strictObject({ folder: absolute, file: absolute.optional() }),
  submitToCluster: z.strictObject({
    id,
    what: z.union([
      z.strictObject({ kind: z.enum(['train', 'sweep']), recipe }),
      z.strictObject({ kind: z.literal('continue'), folder: absolute }),
    ]),
    profile: absolute.optional(),
  }),
  stopOnCluster: z.strictObject({ runDir: absolute, save: z.boolean() }),
  noteRun: z.strictObject({ runDir: absolute, change: notesChange }),
  estimate: z.strictObject({ recipe }),
  train: z.strictObject({ ...start, recipe, runDir: absolute.optional() }),
  resume: z.strictObject({ ...start, runDir: absolute, overrides }),
  sweep: z.strictObject({ ...start, recipe: recipe.optional(), sweepDir: absolute.optional() }),
  readSweep: z.strictObject({ sweepDir: absolute }),
  importance: z.strictObject({ ...start, recipe, outputFile: absolute, report: z.boolean().optional() }),
  evaluate: z.strictObject({ ...start, recipe, adapter: absolute.optional() }),
  generate: z.strictObject({
    ...start,
    model: text,
    revision: text,
    baseDir: absolute,
    adapter: absolute.optional(),
    prompt,
    promptOf: absolute.optional(),
    sample: z
      .int()
      .min(0)
      .max(MAX_SAMPLES - 1)
      .optional(),
    conversation: conversation.optional(),
    images: images.optional(),
    options: generateOptions,
    keepSeconds: z.int().min(0).max(MAX_KEEP_SECONDS).optional(),
  }),
  previewData: z.strictObject({
    ...start,
    recipe,
    part: z.enum(DATA_PARTS),
    from: z.int().min(0),
    count: z.int().min(0).max(MAX_SHOWN_SAMPLES),
    statistics: z.boolean(),
  }),
  exportRun: z.strictObject({
    ...start,
    adapter: absolute,
    format: z.enum(exportFormats),
    type: z.enum(exportTypes).optional(),
    outputDir: absolute,
    overwrite: z.boolean(),
  }),
  verify: z.strictObject({ ...start, modelDir: absolute, engine }),
  doctor: z.strictObject({ ...start, engine }),
  listJobs: nothing,
  waitForJob: z.strictObject({ id, progressToken: text.optional(), abortOnCancel: z.boolean().optional() }),
  stopJob: oneJob,
  abortJob: oneJob,
  prioritizeJob: z.strictObject({ id, priority }),
  eventsSince: z.strictObject({ seq: z.int().min(0), epoch: text }),
  shutdown: nothing,
};

/** @throws DaemonError 'bad-params' with the position and the expected value */
export function checkParams<Name extends RequestName>(name: Name, method: string, params: unknown): RequestParams<Name> {
  const schema: z.ZodType<RequestParams<Name>> = paramSchemas[name];
  const checked = schema.safeParse(params ?? {});
  if (checked.success) return checked.data;
  const wrong = checked.error.issues.slice(0, 5).map(({ path: keys, message }) => `${keys.join('.') || 'params'}: ${message}`);
  throw new DaemonError('bad-params', `${method}: ${wrong.join('; ')}`, { hint: 'Client and daemon may be of different versions' });
}
