/** llama.cpp on a GGUF file: ids of texts and logits of sequences, to compare with ours. */
import { setTimeout } from 'node:timers/promises';
import { installedPackage } from '../engine/install/optional-packages.ts';
import { messageOf } from '../protocol/error-facts.ts';
import { llamaCppName } from './llama-cpp-packages.ts';

/** The largest logits after one token, highest first: id → logit. */
export type TopLogits = ReadonlyMap<number, number>;

export interface LlamaCpp {
  /** Special tokens in the text are recognized; no begin token is added. */
  tokenize(text: string): number[];
  /** One map for each token: the logits of what follows it. */
  topLogits(ids: readonly number[], count: number): Promise<TopLogits[]>;
  close(): Promise<void>;
}

/** llama.cpp cannot load or run a file; the message has its own words. */
export class LlamaCppError extends Error {
  override name = 'LlamaCppError';
}

export interface OpenLlamaCppParams {
  readonly cacheDir: string;
  readonly modelPath: string;
  /** A GGUF file of factors that is put over the model. */
  readonly lora?: string;
  /** Tokens of the longest sequence. */
  readonly tokens: number;
  readonly threads: number;
}

/** The used part of node-llama-cpp, which is no dependency and so has no types here. */
interface Binding {
  readonly LlamaLogLevel: { readonly error: string };
  getLlama(options: object): Promise<Bound>;
}
interface Bound {
  loadModel(options: object): Promise<BoundModel>;
}
interface BoundModel {
  tokenize(text: string, specialTokens: boolean): number[];
  createContext(options: object): Promise<{ getSequence(): BoundSequence; dispose(): Promise<void> }>;
  dispose(): Promise<void>;
}
interface BoundSequence {
  clearHistory(): Promise<void>;
  controlledEvaluate(
    input: readonly (readonly [number, object])[],
  ): Promise<readonly ({ readonly next: { readonly logits?: ReadonlyMap<number, number> } } | undefined)[]>;
}

const SPARE_TOKENS = 16;
const REPORT_MS = 20;

/** One for the process: after it is disposed, the next one does not receive what llama.cpp reports. */
let opened: Promise<{ readonly llama: Bound; readonly reported: string[] }> | undefined;

function openBinding(cacheDir: string, maxThreads: number): NonNullable<typeof opened> {
  opened ??= (async () => {
    // A package that is not ours, installed in the version that this program names; `Binding` lists what is used of it.
    const binding = (await import(installedPackage(cacheDir, { name: llamaCppName }, 'node-llama-cpp'))) as Binding;
    const reported: string[] = [];
    const llama = await binding.getLlama({
      gpu: false,
      build: 'never',
      skipDownload: true,
      progressLogs: false,
      logLevel: binding.LlamaLogLevel.error,
      logger: (_level: string, message: string) => {
        reported.push(message.trim());
      },
      maxThreads,
    });
    return { llama, reported };
  })();
  return opened;
}

/** @throws LlamaCppError where it cannot load the file; Error where it is not installed */
export async function openLlamaCpp({ cacheDir, modelPath, lora, tokens, threads }: OpenLlamaCppParams): Promise<LlamaCpp> {
  const { llama, reported } = await openBinding(cacheDir, threads);
  reported.length = 0;
  const failed = async (what: string, error: unknown): Promise<LlamaCppError> => {
    // Its messages arrive by the event loop, after its own error.
    await setTimeout(REPORT_MS);
    return new LlamaCppError([`llama.cpp cannot ${what}: ${messageOf(error)}`, ...reported].join('\n  '), { cause: error });
  };
  const model = await llama.loadModel({ modelPath, gpuLayers: 0, checkTensors: true }).catch(async (error: unknown) => {
    throw await failed(`load ${modelPath}`, error);
  });
  try {
    const context = await model.createContext({
      // A context that is full is shifted, which changes the last logits.
      contextSize: tokens + SPARE_TOKENS,
      batchSize: tokens + SPARE_TOKENS,
      threads,
      flashAttention: false,
      ...(lora !== undefined && { lora }),
    });
    const sequence = context.getSequence();
    return {
      tokenize: text => [...model.tokenize(text, true)],
      topLogits: async (ids, count) => {
        await sequence.clearHistory();
        const wanted = { generateNext: { logits: { filter: { tokens: [], includeTop: count } } } };
        const found = await sequence.controlledEvaluate(ids.map(id => [id, wanted] as const));
        return ids.map((_, i) => {
          const logits = found[i]?.next.logits;
          if (logits === undefined) throw new LlamaCppError(`llama.cpp gave no logits after token ${i} of ${ids.length}`);
          return new Map(logits);
        });
      },
      close: async () => {
        await context.dispose();
        await model.dispose();
      },
    };
  } catch (error) {
    await model.dispose();
    throw await failed(`open ${modelPath}`, error);
  }
}
