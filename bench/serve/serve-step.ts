/** Writes several answers at the same time, by our engine or llama.cpp, in its own process: for each line of stdin, prints one JSON line. */

import { createInterface } from 'node:readline';
import { adaptedModel } from '../../trainer/adapter/apply-adapter.ts';
import { installedPackage } from '../../trainer/engine/install/optional-packages.ts';
import { openEngine } from '../../trainer/engine/open-engine.ts';
import { BatchedAnswers } from '../../trainer/generate/batched-answers.ts';
import { openDecoder } from '../../trainer/generate/decoder.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { llamaCppName } from '../../trainer/llama-cpp/llama-cpp-packages.ts';
import { processMemory } from '../../trainer/machine/process-memory.ts';
import { causalModel } from '../../trainer/model/load-model.ts';
import type { Precision } from '../../trainer/model/weight-storage.ts';
import { checkDevice, type Device } from '../device.ts';
import { readRequest } from '../request.ts';

export interface ServeStepRequest {
  readonly side: 'rowtune' | 'llama.cpp';
  /** The GGUF file: on our side, the weights are stored as `precision` says. */
  readonly source: string;
  readonly precision: Precision;
  readonly cacheDir: string;
  readonly device: Device;
  readonly threads: number;
  /** Maximum number of simultaneous answers. */
  readonly most: number;
  readonly promptTokens: number;
  readonly answerTokens: number;
}

/** One line of stdin. */
export interface ServeRound {
  /** Number of simultaneous answers. */
  readonly parallel: number;
  /** Differs in each round, and with it the prompts. */
  readonly round: number;
}

export interface ServeResult {
  /** Seconds until all prompts were read, and until all further tokens of the answers were written after that. */
  readonly readSeconds: number;
  readonly writeSeconds: number;
  /** Processor time of all threads for those tokens. */
  readonly writeProcessorSeconds: number;
  readonly residentBytes: number;
}

/** Writes an answer of `tokens` tokens to each prompt, all at the same time. */
type Answer = (prompts: readonly (readonly number[])[], tokens: number) => Promise<void>;

const request = readRequest<ServeStepRequest>();
const room = request.promptTokens + request.answerTokens + 1;

async function openOurs(): Promise<Answer> {
  const engine = await openEngine('tensorflow', { cacheDir: request.cacheDir });
  checkDevice(engine, request.device);
  const folder = await openModel(request.source);
  const model = causalModel(folder.config);
  const tokenizer = await folder.loadTokenizer();
  const { weights } = folder;
  const held = await adaptedModel({ model, weights, adapter: undefined, hostFrom: engine.hostFrom, precision: request.precision });
  const decoder = await openDecoder({ engine, model, ...held, tokens: room, texts: request.most });
  await weights.close();
  // No end token, so that every answer has its full length.
  const answers = new BatchedAnswers(decoder, { eosIds: [], decodeStream: () => tokenizer.decodeStream({ skipSpecialTokens: true }) });
  return async (prompts, tokens) => {
    const options = { temperature: 0, topK: 0, topP: 1, seed: 0, maxNewTokens: tokens };
    await Promise.all(prompts.map(ids => answers.answer({ ids, maxTokens: room, options })));
  };
}

/** The part of node-llama-cpp that is used; it is not a dependency, so its types are not available. */
interface Binding {
  getLlama(options: object): Promise<{
    loadModel(options: object): Promise<{ createContext(options: object): Promise<{ getSequence(): Sequence }> }>;
  }>;
}
interface Sequence {
  clearHistory(): Promise<void>;
  evaluate(tokens: readonly number[], options: object): AsyncIterable<number>;
}

async function openTheirs(): Promise<Answer> {
  // A foreign package, in the version that this program installs.
  const { getLlama } = (await import(installedPackage(request.cacheDir, { name: llamaCppName }, 'node-llama-cpp'))) as Binding;
  const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, progressLogs: false, maxThreads: request.threads });
  const model = await llama.loadModel({ modelPath: request.source, gpuLayers: 0 });
  const { most, threads } = request;
  const context = await model.createContext({ sequences: most, contextSize: room, batchSize: 512, threads });
  const sequences = Array.from({ length: most }, () => context.getSequence());
  return async (prompts, tokens) => {
    await Promise.all(
      prompts.map(async (prompt, i) => {
        const sequence = sequences[i];
        await sequence?.clearHistory();
        let written = 0;
        // Continue past the end of an answer, as on our side.
        for await (const _ of sequence?.evaluate(prompt, { temperature: 0, yieldEogToken: true }) ?? []) if (++written >= tokens) break;
      }),
    );
  };
}

interface Spent {
  readonly seconds: number;
  readonly processorSeconds: number;
}

async function spentOn(work: () => Promise<void>): Promise<Spent> {
  const [begin, before] = [performance.now(), process.cpuUsage()];
  await work();
  const { user, system } = process.cpuUsage(before);
  return { seconds: (performance.now() - begin) / 1000, processorSeconds: (user + system) / 1e6 };
}

const answer = await (request.side === 'rowtune' ? openOurs() : openTheirs());
const { promptTokens, answerTokens } = request;
/** Prompts with a different beginning in each round, so that no cache has them; those of peers/transformers_serve.py. */
const promptsOf = (parallel: number, round: number): number[][] =>
  Array.from({ length: parallel }, (_, text) =>
    Array.from({ length: promptTokens }, (_each, i) => 100 + ((i * 37 + 1009 * (round * parallel + text)) % 20_000)),
  );
console.log('{}');
for await (const line of createInterface({ input: process.stdin })) {
  // `bench/serve/serve.ts` writes the line.
  const { parallel, round }: ServeRound = JSON.parse(line);
  const reading = await spentOn(() => answer(promptsOf(parallel, 2 * round), 1));
  const whole = await spentOn(() => answer(promptsOf(parallel, 2 * round + 1), answerTokens + 1));
  const result: ServeResult = {
    readSeconds: reading.seconds,
    writeSeconds: whole.seconds - reading.seconds,
    writeProcessorSeconds: whole.processorSeconds - reading.processorSeconds,
    residentBytes: processMemory().residentBytes,
  };
  console.log(JSON.stringify(result));
}
process.exit(0);
