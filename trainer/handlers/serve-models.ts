/** The job 'serve': loads models and answers requests until it is stopped. */
import { withAdapter } from '../adapter/read-adapter.ts';
import { embedderOf, TextVectors } from '../generate/text-vectors.ts';
import type { JobScope } from '../job/job-scope.ts';
import { withModelFolder } from '../job/open-base.ts';
import type { JobRequest } from '../protocol/messages/job-messages.ts';
import { byteSize } from '../protocol/text/format.ts';
import type { ServedEmbedder } from '../serve/embeddings.ts';
import { requireFreePort, startServer } from '../serve/http-server.ts';
import { ServedModel, type ServedModelParams } from '../serve/served-model.ts';
import { openInferenceEngine } from './inference/inference-engine.ts';
import { inferencePrecision } from './inference/inference-precision.ts';
import { sightOf } from './inference/sight.ts';
import { loadProgress } from './load-progress.ts';

export async function serveJob(request: Extract<JobRequest, { kind: 'serve' }>, scope: JobScope): Promise<{ readonly requests: number }> {
  const { models: wanted, host, port, token, origins, maxTokens, parallel } = request;
  const { job } = scope;
  await requireFreePort({ host, port });
  const engine = await openInferenceEngine(
    scope,
    request,
    wanted.map(({ adapter }) => adapter),
  );
  const models: ServedModel[] = [];
  const embedders: ServedEmbedder[] = [];
  let requests = 0;
  try {
    for (const { name, model, revision, adapter: adapterPath } of wanted) {
      job.phase('load', `loading ${name}`);
      const onLoad = loadProgress(job);
      // The base of a run is compared with it, so it is held like the run.
      const ofSameBase = wanted.filter(other => other.model === model && other.revision === revision);
      const runs = [adapterPath, ...ofSameBase.map(({ adapter }) => adapter)];
      const withFolder: ServedModelParams['withFolder'] = use => withModelFolder(scope, { model, revision }, use);
      await withFolder(async folder => {
        const sight = await sightOf(scope, { engine, folder, withFolder, runs });
        const { encoderBytes } = sight ?? {};
        const precision = await inferencePrecision(job, { engine, folder, asked: request, runs, encoderBytes });
        const vectors = await withAdapter(adapterPath, async adapter => {
          const embedder = embedderOf({ folder, adapter });
          return embedder && TextVectors.open(embedder, { engine, folder, adapter, precision, onLoad });
        });
        if (vectors) embedders.push({ name, vectors });
        else {
          const opened = await ServedModel.open(folder, { name, engine, withFolder, adapterPath, precision, parallel, sight, onLoad });
          models.push(opened);
          job.log('info', memoryOf(opened));
          if (opened.hasUnreadCalls)
            job.log(
              'warning',
              `${name}: its chat template writes tool calls in a form that is not recognized, so they are returned as text`,
            );
        }
      });
      job.checkStop();
    }
    const onRequest = (line: string): void => {
      requests++;
      job.log('info', line);
    };
    const server = await startServer({ models, embedders, host, port, token, origins, maxTokens, onRequest });
    job.emit({ type: 'serving', port: server.port });
    await new Promise<void>(resolve => {
      if (job.stop !== undefined) resolve();
      else job.signal.addEventListener('abort', () => resolve(), { once: true });
    });
    await server.close();
    return { requests };
  } finally {
    for (const model of models) await model.dispose();
    for (const { vectors } of embedders) await vectors.dispose();
  }
}

function memoryOf({ name, memory }: ServedModel): string {
  const { weightBytes, hostBytes, cacheBytes, encoderBytes, tokens, parallel } = memory;
  const answers = parallel === 1 ? 'one answer at a time' : `${parallel} answers at the same time`;
  const onHost = hostBytes > 0 ? `, ${byteSize(hostBytes)} of them in host memory,` : '';
  const encoder = encoderBytes > 0 ? `, and the first image loads its encoder, of ${byteSize(encoderBytes)}` : '';
  return `${name}: ${byteSize(weightBytes)} of weights${onHost} and ${byteSize(cacheBytes)} for ${answers} of up to ${tokens} tokens; longer ones take more${encoder}`;
}
