/** The jobs 'generate' and 'export', which use a trained model. */
import path from 'node:path';
import { modelOfAdapter } from '../adapter/adapter.ts';
import { withAdapter } from '../adapter/read-adapter.ts';
import { type ExportResult, exportModel } from '../artifact/export-model.ts';
import { classifyText, labelLines } from '../generate/classify-text.ts';
import { generateText } from '../generate/generate-text.ts';
import { annotated, labelText } from '../generate/label-text.ts';
import { TextVectors, type TextVectorsParams } from '../generate/text-vectors.ts';
import type { Job } from '../job/job.ts';
import type { JobScope } from '../job/job-scope.ts';
import { openJobEngine, openModelFolder } from '../job/open-base.ts';
import { type ClassifierModel, classifiesTexts, labelsWords } from '../model/model-spec.ts';
import { type JobRequest, keptSeconds } from '../protocol/messages/job-messages.ts';
import { requireBase } from '../run/require-base.ts';
import { cardFacts } from './export-card.ts';
import type { GenerateResult } from './generate-result.ts';
import { compareAnswers, comparedLines } from './inference/compared-answers.ts';
import { openInferenceEngine } from './inference/inference-engine.ts';
import { inferencePrecision } from './inference/inference-precision.ts';
import { keptAnswer } from './inference/kept-generation.ts';
import { embedderFor, nearestLines, nearestTexts, textsOfRun } from './inference/nearest-texts.ts';
import { promptStyleOf } from './inference/prompt-style.ts';
import { sightOf } from './inference/sight.ts';
import { loadProgress } from './load-progress.ts';

type Request<K extends JobRequest['kind']> = Extract<JobRequest, { kind: K }>;

export async function generateJob(request: Request<'generate'>, scope: JobScope): Promise<GenerateResult> {
  const { sample } = request;
  if (sample !== undefined) return comparedAnswer({ ...request, sample }, scope);
  if (keptSeconds(request) > 0) return keptAnswer(request, scope);
  const { options, prompt, conversation, images, promptOf, adapter: adapterPath } = request;
  const { job } = scope;
  const style = promptOf === undefined ? undefined : await promptStyleOf(promptOf);
  const engine = await openInferenceEngine(scope, options, [adapterPath, promptOf]);
  const folder = await openModelFolder(scope, request);
  try {
    const runs = [adapterPath, promptOf];
    const sight = await sightOf(scope, { engine, folder, withFolder: use => use(folder), runs });
    const encoderBytes = images && images.length > 0 ? sight?.encoderBytes : 0;
    const precision = await inferencePrecision(job, { engine, folder, asked: options, runs, encoderBytes });
    const onLoad = loadProgress(job);
    const found = await withAdapter(adapterPath, async adapter => {
      const opening = { engine, folder, adapter, precision, onLoad };
      const embedder = await embedderFor(folder, { adapter, promptOf });
      if (embedder) return nearestAnswer(embedder, opening, request, job);
      const model = modelOfAdapter(folder.config, adapter?.description ?? {});
      return labelsWords(model) || classifiesTexts(model) ? labeledAnswer(model, opening, prompt, job) : undefined;
    });
    if (found) return found;
    const generated = await generateText({
      engine,
      folder,
      adapterPath,
      precision,
      prompt,
      conversation,
      images,
      sight,
      style,
      options,
      isCanceled: () => job.stop !== undefined,
      onText: (chunk, part) => job.emit({ type: 'text', chunk, ...(part === 'reasoning' && { part }) }),
      onLoad,
    });
    return { ...generated, engine: engine.description.summary };
  } finally {
    await folder.weights.close();
  }
}

/** The labels of the prompt's words, or of the whole prompt. */
async function labeledAnswer(model: ClassifierModel, opening: TextVectorsParams, prompt: string, job: Job): Promise<GenerateResult> {
  const begin = performance.now();
  const params = { ...opening, model };
  const found = labelsWords(model) ? await labelText(prompt, params) : await classifyText(prompt, params);
  const { tokens } = found;
  if ('isCut' in found && found.isCut)
    job.log('warning', `the text has more than the ${tokens} tokens that the model reads: the rest does not count`);
  const labeled = 'labels' in found ? { labels: found.labels } : { entities: found.entities };
  const text = labeled.labels ? labelLines(labeled.labels) : annotated(prompt, labeled.entities);
  job.emit({ type: 'text', chunk: text });
  return {
    ...noTokens,
    ...labeled,
    text,
    promptTokens: tokens,
    promptSeconds: (performance.now() - begin) / 1000,
    engine: opening.engine.description.summary,
  };
}

async function comparedAnswer(request: Request<'generate'> & { readonly sample: number }, scope: JobScope): Promise<GenerateResult> {
  const begin = performance.now();
  const { compared, engine } = await compareAnswers(request, scope);
  return {
    ...noTokens,
    text: comparedLines(compared),
    compared,
    promptTokens: 0,
    promptSeconds: (performance.now() - begin) / 1000,
    engine,
  };
}

async function nearestAnswer(
  model: ClassifierModel,
  opening: TextVectorsParams,
  { prompt, adapter, promptOf }: Request<'generate'>,
  job: Job,
): Promise<GenerateResult> {
  const begin = performance.now();
  const texts = await textsOfRun(adapter ?? promptOf);
  const vectors = await TextVectors.open(model, opening);
  try {
    const nearest = await nearestTexts(vectors, prompt, texts, job);
    const text = nearestLines(nearest);
    job.emit({ type: 'text', chunk: text });
    return {
      ...noTokens,
      text,
      nearest,
      promptTokens: vectors.idsOf(prompt).length,
      promptSeconds: (performance.now() - begin) / 1000,
      engine: opening.engine.description.summary,
    };
  } finally {
    await vectors.dispose();
  }
}

/** The fields of an answer for which no token was generated. */
const noTokens = { ids: [], chat: false, asTrained: false, finishReason: 'end', tokensPerSecond: 0 } as const;

export async function exportJob(request: Request<'export'>, scope: JobScope): Promise<ExportResult> {
  const { adapter: adapterPath, base, format, type, outputDir, overwrite } = request;
  const { job, context } = scope;
  const engine = await openJobEngine(scope, 'auto');
  return exportModel({
    adapterPath,
    base,
    format,
    type,
    cacheDir: context.cacheDir,
    card: await cardFacts(adapterPath),
    outputDir: path.resolve(context.baseDir, outputDir),
    overwrite,
    engine,
    openBase: ({ source, revision }) => {
      if (base === undefined) requireBase(source, adapterPath, 'rowtune export … --model PATH');
      return openModelFolder(scope, { model: source, revision: revision || 'main' });
    },
    onEvent: event => job.emit(event),
  });
}
