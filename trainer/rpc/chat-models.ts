/** The runs whose models can be used in a chat, and the token counts of texts. */
import { stat } from 'node:fs/promises';
import { z } from 'zod';
import { writesText } from '../catalog/objectives.ts';
import { turns } from '../machine/turns.ts';
import type { JobContext } from '../protocol/messages/job-messages.ts';
import type { ChatFacts, ChatModel } from '../protocol/messages/rpc-messages.ts';
import { listRuns, readRunRecipe } from '../run/run-folder.ts';
import { explainDeath, startWorkerProcess } from '../worker/worker-process.ts';
import { DaemonError } from './daemon-error.ts';
import { modelPath } from './recipes.ts';

/** Maximum number of models: more than anyone chooses from. */
const MAX_MODELS = 50;
/** Maximum time for a worker. Loading the largest tokenizer takes a second, so one that takes longer is malicious. */
const WORKER_MS = 60_000;

const answerSchema = z.looseObject({
  family: z.string(),
  positions: z.number(),
  callsTools: z.boolean(),
  readsImages: z.boolean(),
  tokens: z.array(z.number()),
});
type Answer = z.infer<typeof answerSchema>;

export interface ChatParams {
  readonly cacheDir: string;
  readonly jobSettings: Omit<JobContext, 'baseDir'>;
  readonly workerFile?: string | undefined;
}

/** Facts about base models by path and modification time, kept for the life of the daemon. */
const known = new Map<string, Promise<ChatFacts>>();

/** Runs with a checkpoint, in the order of a listing, without archived runs and those whose base cannot be read. */
export async function listChatModels(folders: readonly string[], params: ChatParams): Promise<readonly ChatModel[]> {
  const { runs } = await listRuns(folders);
  const models: ChatModel[] = [];
  for (const { runDir, name, method, trains, task, resumable, archived, updatedAt } of runs) {
    if (models.length === MAX_MODELS) break;
    if (!resumable || archived === true || !writesText(task)) continue;
    try {
      const { model, revision, path } = await baseOf(runDir, params);
      const { family, positions, callsTools, readsImages } = await factsOf(path, params);
      models.push({ runDir, name, method, trains, model, revision, updatedAt, family, positions, callsTools, readsImages });
    } catch {
      // A run without its base cannot answer; the Try page explains why.
    }
  }
  return models;
}

/** @throws DaemonError 'model-missing' if the base is not on this machine */
export async function countTokens(runDir: string, texts: readonly string[], params: ChatParams): Promise<readonly number[]> {
  const { path } = await baseOf(runDir, params);
  return (await askWorker(path, texts, params)).tokens;
}

async function factsOf(path: string, params: ChatParams): Promise<ChatFacts> {
  const key = `${path} ${(await stat(path)).mtimeMs}`;
  const found = known.get(key) ?? askWorker(path, [], params);
  known.set(key, found);
  found.catch(() => known.delete(key));
  return found;
}

async function baseOf(runDir: string, { cacheDir }: Pick<ChatParams, 'cacheDir'>) {
  const { model, revision } = await readRunRecipe(runDir);
  return { model, revision, path: await modelPath({ model, revision }, runDir, cacheDir) };
}

const inTurn = turns();

/** Uses one worker at a time: a stranger's tokenizer is run only by a worker, which can be killed. */
const askWorker = (model: string, texts: readonly string[], params: ChatParams): Promise<Answer> =>
  inTurn(() => runChatJob(model, texts, params));

async function runChatJob(model: string, texts: readonly string[], { jobSettings, workerFile }: ChatParams): Promise<Answer> {
  const worker = startWorkerProcess({
    request: { kind: 'chat', context: { ...jobSettings, baseDir: '/' }, model, revision: 'main', texts },
    threads: 1,
    ...(workerFile !== undefined && { workerFile }),
    onEvent: () => undefined,
    onLine: () => undefined,
  });
  const timer = setTimeout(worker.kill, WORKER_MS);
  const outcome = await worker.ended.finally(() => clearTimeout(timer));
  const { last } = outcome;
  if (last?.type === 'result') return answerSchema.parse(last.value);
  const { code, message, hint } = last ?? explainDeath(outcome);
  throw new DaemonError(code, message, { hint });
}
