/** A thread that tokenizes records: requests in, samples out, in the order of the requests. */
import { parentPort, workerData } from 'node:worker_threads';
import { createTokenizer } from '../../format/tokenizer/tokenizer.ts';
import { chatRendererOf } from '../chat/chat-renderer.ts';
import { DataError } from '../data-error.ts';
import type { ThreadAnswer, ThreadData, ThreadRequest } from './thread-messages.ts';
import { recordTokenizer } from './tokenize-records.ts';

// `tokenizeInThreads` alone starts this thread, and passes nothing else.
const { tokenizer: input, now, settings } = workerData as ThreadData;
const tokenizer = createTokenizer(input);
const tokenize = recordTokenizer(settings, { tokenizer, chatRenderer: chatRendererOf(tokenizer, () => new Date(now)) });

function answer({ id, records }: ThreadRequest): ThreadAnswer {
  try {
    return { id, made: tokenize(records) };
  } catch (error) {
    if (error instanceof DataError) return { id, problem: { ...error.place, problem: error.problem, advice: error.advice } };
    return { id, failure: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

parentPort?.on('message', (request: ThreadRequest) => {
  const found = answer(request);
  const { tokens, lengths, targets, records } = 'made' in found ? found.made : {};
  const moved = [tokens, lengths, targets, records].flatMap(array => (array?.buffer instanceof ArrayBuffer ? [array.buffer] : []));
  parentPort?.postMessage(found, moved);
});
