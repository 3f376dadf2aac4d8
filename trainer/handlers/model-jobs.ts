/** The jobs 'generate' and 'export', which use a trained model. */
import path from 'node:path';
import { type ExportResult, exportModel } from '../artifact/export-model.ts';
import { type GeneratedText, generateText } from '../generate/generate-text.ts';
import type { JobScope } from '../job/job-scope.ts';
import { openJobEngine, openModelFolder } from '../job/open-base.ts';
import type { JobRequest } from '../protocol/job-messages.ts';
import { cardFacts } from './export-card.ts';
import { promptStyleOf } from './prompt-style.ts';

type Request<K extends JobRequest['kind']> = Extract<JobRequest, { kind: K }>;

export async function generateJob(request: Request<'generate'>, scope: JobScope): Promise<GeneratedText & { readonly engine: string }> {
  const { options, prompt, promptOf, adapter: adapterPath } = request;
  const { job } = scope;
  const style = promptOf === undefined ? undefined : await promptStyleOf(promptOf);
  const engine = await openJobEngine(scope, options.engine);
  const folder = await openModelFolder(scope, request);
  try {
    let report: ((done: number) => void) | undefined;
    const generated = await generateText({
      engine,
      folder,
      adapterPath,
      prompt,
      style,
      options,
      isCanceled: () => job.stop !== undefined,
      onText: chunk => job.emit({ type: 'text', chunk }),
      onLoad: (done, total) => {
        report ??= job.progress('load', total, 'tensors');
        report(done);
      },
    });
    return { ...generated, engine: engine.description.summary };
  } finally {
    await folder.weights.close();
  }
}

export async function exportJob(request: Request<'export'>, scope: JobScope): Promise<ExportResult> {
  const { adapter: adapterPath, format, type, outputDir, overwrite } = request;
  const { job, context } = scope;
  const engine = await openJobEngine(scope, 'auto');
  return exportModel({
    adapterPath,
    format,
    type,
    cacheDir: context.cacheDir,
    card: await cardFacts(adapterPath),
    outputDir: path.resolve(context.baseDir, outputDir),
    overwrite,
    engine,
    openBase: ({ source, revision }) => openModelFolder(scope, { model: source, revision: revision || 'main' }),
    onEvent: event => job.emit(event),
  });
}
