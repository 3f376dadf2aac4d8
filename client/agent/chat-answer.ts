/** Answers one chat message with a run: a job of the daemon, as on the Try page, whose text is streamed to the chat. */
import { randomUUID } from 'node:crypto';
import { isRecord } from '../../trainer/narrow.ts';
import type { Conversation, GenerateOptions } from '../../trainer/protocol/messages/job-messages.ts';
import type { ChatModel, JobRecord } from '../../trainer/protocol/messages/rpc-messages.ts';
import { DaemonError } from '../../trainer/rpc/daemon-error.ts';
import { hasEnded } from '../daemon/job-store.ts';
import type { PageServices } from '../pages/page-services.ts';

export interface AnsweredCall {
  readonly name: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

export interface ChatAnswerParams {
  readonly services: Pick<PageServices, 'daemon' | 'onJobEvent' | 'onJobChanged'>;
  readonly model: ChatModel;
  readonly conversation: Conversation;
  /** Settings of the caller (`temperature`, `top_p`, `max_tokens`, `seed`); others are ignored. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly onText: (chunk: string) => void;
  /** How long the model stays loaded after the answer, in seconds. */
  readonly keepSeconds: number;
  /** Ends the job. */
  readonly signal: AbortSignal;
}

/**
 * Resolves with the tool calls in the answer, or with an empty list if it was canceled.
 * @throws DaemonError with what went wrong and how to fix it
 */
export async function chatAnswer({ services, model, conversation, settings, onText, keepSeconds, signal }: ChatAnswerParams) {
  const id = randomUUID();
  const forget: (() => void)[] = [];
  try {
    const ended = new Promise<JobRecord>(resolve => {
      forget.push(
        services.onJobEvent(({ jobId, event }) => {
          // A chat cannot show a model's reasoning.
          if (jobId === id && event.type === 'text' && event.part === undefined && !signal.aborted) onText(event.chunk);
        }),
        services.onJobChanged(record => {
          if (record.id === id && hasEnded(record)) resolve(record);
        }),
      );
    });
    const daemon = await services.daemon();
    if (signal.aborted) return [];
    const { runDir, model: base, revision } = model;
    const options = generateOptions(model, settings);
    const request = {
      model: base,
      revision,
      adapter: runDir,
      promptOf: runDir,
      baseDir: runDir,
      prompt: '',
      conversation,
      options,
      keepSeconds,
    };
    await daemon.request('generate', { id, ...request });
    const abort = (): void => {
      // The answer may have ended in the meantime; then nothing is aborted.
      daemon.request('abortJob', { id }).catch(() => undefined);
    };
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    forget.push(() => signal.removeEventListener('abort', abort));
    return callsOf(await ended);
  } finally {
    for (const each of forget) each();
  }
}

function callsOf({ state, failure, result }: JobRecord): readonly AnsweredCall[] {
  if (state === 'failed') {
    const { code, message, hint } = failure ?? { code: 'failed', message: 'The run gave no answer.', hint: undefined };
    // The chat shows only the message, so the hint is part of it.
    throw new DaemonError(code, [message, hint].filter(text => text !== undefined).join('. '), { hint });
  }
  const calls: readonly unknown[] = isRecord(result) && Array.isArray(result.toolCalls) ? result.toolCalls : [];
  return calls.flatMap(call =>
    isRecord(call) && typeof call.name === 'string' && isRecord(call.arguments) ? [{ name: call.name, arguments: call.arguments }] : [],
  );
}

/** The token limit of an answer if the caller sets none; at most half of the model's context. */
export const longestAnswer = ({ positions }: Pick<ChatModel, 'positions'>): number =>
  Math.max(1, Math.min(MAX_ANSWER_TOKENS, Math.floor(positions / 2)));
const MAX_ANSWER_TOKENS = 2048;

/** The generation options; greedy decoding unless the caller sets a temperature. */
function generateOptions(model: ChatModel, settings: Readonly<Record<string, unknown>>): GenerateOptions {
  const number = (name: string, { min, max, other }: { readonly min: number; readonly max: number; readonly other: number }): number => {
    const given = settings[name];
    return typeof given === 'number' && Number.isFinite(given) ? Math.min(max, Math.max(min, given)) : other;
  };
  return {
    engine: 'auto',
    chat: true,
    maxNewTokens: Math.floor(number('max_tokens', { min: 1, max: model.positions, other: longestAnswer(model) })),
    temperature: number('temperature', { min: 0, max: 2, other: 0 }),
    topP: number('top_p', { min: 0, max: 1, other: 1 }),
    topK: 0,
    seed: Math.floor(number('seed', { min: 0, max: 2 ** 32 - 1, other: 42 })),
  };
}
