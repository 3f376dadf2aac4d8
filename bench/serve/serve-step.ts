/** Measures the rate of writing several answers at the same time, by our engine or llama.cpp, in its own process: prints one JSON line. */

import { installedPackage } from '../../trainer/engine/install/optional-packages.ts';
import { openEngine } from '../../trainer/engine/open-engine.ts';
import { BatchedAnswers } from '../../trainer/generate/batched-answers.ts';
import { openDecoder } from '../../trainer/generate/decoder.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { llamaCppName } from '../../trainer/llama-cpp/llama-cpp-packages.ts';
import { processMemory } from '../../trainer/machine/process-memory.ts';
import { causalModel } from '../../trainer/model/load-model.ts';
import { checkDevice, type Device } from '../device.ts';
import { readRequest } from '../request.ts';

export interface ServeStepRequest {
  readonly side: 'rowtune' | 'llama.cpp';
  /** The GGUF file, the same for both sides. */
  readonly source: string;
  readonly cacheDir: string;
  readonly device: Device;
  readonly threads: number;
  /** Number of simultaneous answers. */
  readonly parallel: number;
  readonly promptTokens: number;
  readonly answerTokens: number;
  readonly rounds: number;
}

export interface ServeStepResult {
  /** Tokens per second of all prompts and of all answers together, by round. */
  readonly read: readonly number[];
  readonly written: readonly number[];
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
  const decoder = await openDecoder({ engine, model, weights: folder.weights, tokens: room, texts: request.parallel });
  await folder.weights.close();
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
  const { parallel, threads } = request;
  const context = await model.createContext({ sequences: parallel, contextSize: room, batchSize: Math.max(512, parallel), threads });
  const sequences = Array.from({ length: parallel }, () => context.getSequence());
  return async (prompts, tokens) => {
    await Promise.all(
      sequences.map(async (sequence, i) => {
        await sequence.clearHistory();
        let written = 0;
        // Continue past the end of an answer, as on our side.
        for await (const _ of sequence.evaluate(prompts[i] ?? [], { temperature: 0, yieldEogToken: true })) if (++written >= tokens) break;
      }),
    );
  };
}

const secondsOf = async (work: Promise<void>, begin = performance.now()): Promise<number> => {
  await work;
  return (performance.now() - begin) / 1000;
};

const answer = await (request.side === 'rowtune' ? openOurs() : openTheirs());
const { parallel, promptTokens, answerTokens, rounds } = request;
/** Prompts with a different beginning in each round, so that no cache has them. */
const promptsOf = (round: number, length: number): number[][] =>
  Array.from({ length: parallel }, (_, text) =>
    Array.from({ length }, (_each, i) => 100 + ((i * 37 + 1009 * (round * parallel + text)) % 20_000)),
  );
await answer(promptsOf(2 * rounds, 70), 3);
const read: number[] = [];
const written: number[] = [];
for (let round = 0; round < rounds; round++) {
  const reading = await secondsOf(answer(promptsOf(2 * round, promptTokens), 1));
  const whole = await secondsOf(answer(promptsOf(2 * round + 1, promptTokens), answerTokens + 1));
  read.push((parallel * promptTokens) / reading);
  written.push((parallel * answerTokens) / (whole - reading));
}
const result: ServeStepResult = { read, written, residentBytes: processMemory().residentBytes };
console.log(JSON.stringify(result));
process.exit(0);
