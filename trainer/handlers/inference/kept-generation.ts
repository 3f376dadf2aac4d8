/** Answers requests with a model that stays loaded in this process, for further requests to the same model. */
import { stat } from 'node:fs/promises';
import { readAdapter } from '../../adapter/read-adapter.ts';
import { type GeneratedText, type GenerateTextParams, TextGenerator, type TextGeneratorParams } from '../../generate/generate-text.ts';
import type { JobScope } from '../../job/job-scope.ts';
import { withModelFolder } from '../../job/open-base.ts';
import { type JobRequest, keptSeconds } from '../../protocol/messages/job-messages.ts';
import { byteSize, duration } from '../../protocol/text/format.ts';
import { loadProgress } from '../load-progress.ts';
import { openInferenceEngine } from './inference-engine.ts';
import { inferencePrecision } from './inference-precision.ts';
import { promptStyleOf } from './prompt-style.ts';
import { sightOf } from './sight.ts';

type Request = Extract<JobRequest, { kind: 'generate' }>;

interface Held {
  readonly key: string;
  readonly generator: TextGenerator;
  readonly engine: string;
}

/** One model per process, which does one job at a time. */
let held: Held | undefined;

/** @throws as `TextGenerator` does */
export async function keptAnswer(request: Request, scope: JobScope): Promise<GeneratedText & { readonly engine: string }> {
  const { options, prompt, conversation, images, promptOf } = request;
  const { job } = scope;
  const style = promptOf === undefined ? undefined : await promptStyleOf(promptOf);
  const key = await keyOf(request);
  const asked: GenerateTextParams = {
    prompt,
    conversation,
    images,
    style,
    options,
    isCanceled: () => job.stop !== undefined,
    onText: (chunk, part) => job.emit({ type: 'text', chunk, ...(part === 'reasoning' && { part }) }),
  };
  const { generator, engine, generated } =
    held?.key === key ? { ...held, generated: await held.generator.generate(asked) } : await firstAnswer(request, scope, { key, asked });
  const { weightBytes, hostBytes, cacheBytes, encoderBytes } = generator.memory;
  const onHost = hostBytes > 0 ? `, ${byteSize(hostBytes)} of them in host memory` : '';
  job.log(
    'info',
    `the model stays loaded for ${duration(keptSeconds(request))}: ${byteSize(weightBytes + cacheBytes + encoderBytes)}${onHost}`,
  );
  return { ...generated, engine };
}

/** Answers with a newly loaded model, whose folder is opened once for its tokenizer and its weights. */
async function firstAnswer(
  request: Request,
  scope: JobScope,
  { key, asked }: { readonly key: string; readonly asked: GenerateTextParams },
): Promise<Held & { readonly generated: GeneratedText }> {
  await held?.generator.dispose();
  held = undefined;
  const runs = [request.adapter, request.promptOf];
  const engine = await openInferenceEngine(scope, request.options, runs);
  const withFolder: TextGeneratorParams['withFolder'] = use => withModelFolder(scope, request, use);
  return withFolder(async folder => {
    const sight = await sightOf(scope, { engine, folder, withFolder, runs });
    const { encoderBytes } = sight ?? {};
    const precision = await inferencePrecision(scope.job, { engine, folder, asked: request.options, runs, encoderBytes });
    const generator = await TextGenerator.open(folder, {
      engine,
      adapterPath: request.adapter,
      precision,
      withFolder,
      sight,
      onLoad: loadProgress(scope.job),
    });
    held = { key, generator, engine: engine.description.summary };
    return { ...held, generated: await generator.generate(asked, folder) };
  });
}

/** The key of a loaded model; a run that was trained further has another checkpoint, so another key. */
async function keyOf({ model, revision, adapter: path, options }: Request): Promise<string> {
  const adapter = path === undefined ? undefined : await readAdapter(path);
  await adapter?.close();
  return JSON.stringify([
    model,
    revision,
    options.engine,
    options.baseOffload,
    options.dtype,
    options.quantize,
    adapter && [adapter.dir, (await stat(adapter.dir)).mtimeMs],
  ]);
}
