/** Answers by a model that stays loaded in this process, for the next request that is about the same one. */
import { stat } from 'node:fs/promises';
import { readAdapter } from '../artifact/adapter/read-adapter.ts';
import { type GeneratedText, TextGenerator } from '../generate/generate-text.ts';
import type { JobScope } from '../job/job-scope.ts';
import { openJobEngine, withModelFolder } from '../job/open-base.ts';
import { byteSize, duration } from '../protocol/format.ts';
import { type JobRequest, keptSeconds } from '../protocol/job-messages.ts';
import { loadProgress } from './load-progress.ts';
import { promptStyleOf } from './prompt-style.ts';

type Request = Extract<JobRequest, { kind: 'generate' }>;

interface Held {
  readonly key: string;
  readonly generator: TextGenerator;
  readonly engine: string;
}

/** One for the process, which does one job at a time. */
let held: Held | undefined;

/** @throws as `TextGenerator` does */
export async function keptAnswer(request: Request, scope: JobScope): Promise<GeneratedText & { readonly engine: string }> {
  const { options, prompt, conversation, promptOf } = request;
  const { job } = scope;
  const style = promptOf === undefined ? undefined : await promptStyleOf(promptOf);
  const key = await keyOf(request);
  if (held?.key !== key) {
    await held?.generator.dispose();
    held = undefined;
    held = await open(request, scope, key);
  }
  const { generator, engine } = held;
  const generated = await generator.generate({
    prompt,
    conversation,
    style,
    options,
    isCanceled: () => job.stop !== undefined,
    onText: chunk => job.emit({ type: 'text', chunk }),
  });
  const { weightBytes, cacheBytes } = generator.memory;
  job.log('info', `the model stays loaded for ${duration(keptSeconds(request))}: ${byteSize(weightBytes + cacheBytes)}`);
  return { ...generated, engine };
}

async function open(request: Request, scope: JobScope, key: string): Promise<Held> {
  const engine = await openJobEngine(scope, request.options.engine);
  const generator = await TextGenerator.open({
    engine,
    adapterPath: request.adapter,
    withFolder: use => withModelFolder(scope, request, use),
    onLoad: loadProgress(scope.job),
  });
  return { key, generator, engine: engine.description.summary };
}

/** A run that was trained further has another checkpoint. */
async function keyOf({ model, revision, adapter: path, options }: Request): Promise<string> {
  const adapter = path === undefined ? undefined : await readAdapter(path);
  await adapter?.close();
  return JSON.stringify([model, revision, options.engine, adapter && [adapter.dir, (await stat(adapter.dir)).mtimeMs]]);
}
