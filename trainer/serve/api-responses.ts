/** Answers in the format of the OpenAI API, whole or streamed. */
import { randomUUID } from 'node:crypto';
import type { Completion, CompletionPiece, DrawnToken, ServedCall, TokenLogprob } from './complete.ts';
import type { RequestError } from './request-error.ts';

/** The fields that all pieces of one answer share. */
export interface AnswerHead {
  readonly id: string;
  readonly created: number;
  readonly model: string;
}

export type AnswerKind = 'chat' | 'text';

export const answerHead = (kind: AnswerKind, model: string): AnswerHead => ({
  id: `${kind === 'chat' ? 'chatcmpl' : 'cmpl'}-${randomUUID()}`,
  created: Math.floor(Date.now() / 1000),
  model,
});

type TokenText = (id: number) => string;

interface FormParams {
  readonly kind: AnswerKind;
  readonly head: AnswerHead;
  readonly tokenText: TokenText;
  readonly withLogprobs: boolean;
}

const usageOf = ({ promptTokens, completionTokens }: Completion) => ({
  prompt_tokens: promptTokens,
  completion_tokens: completionTokens,
  total_tokens: promptTokens + completionTokens,
});

const finishOf = ({ finish }: Completion): string => (finish === 'canceled' ? 'stop' : finish);

/** The answer to a request without `stream`. */
export function wholeAnswer({ kind, head, tokenText, withLogprobs }: FormParams, completion: Completion) {
  const logprobs = withLogprobs ? logprobsOf(kind, completion.tokens, tokenText) : null;
  const choice = { index: 0, finish_reason: finishOf(completion), logprobs };
  return {
    ...head,
    object: kind === 'chat' ? 'chat.completion' : 'text_completion',
    choices: [
      kind === 'chat'
        ? { ...choice, message: { role: 'assistant', refusal: null, ...contentOf(completion) } }
        : { ...choice, text: completion.text },
    ],
    usage: usageOf(completion),
  };
}

/** The content of an answer; null if it consists only of calls. */
const contentOf = ({ text, reasoning, calls }: Completion) => ({
  ...(reasoning !== '' && { reasoning_content: reasoning }),
  ...(calls.length === 0 ? { content: text } : { content: text === '' ? null : text, tool_calls: calls.map(callOf) }),
});

const callOf = ({ id, name, arguments: given }: ServedCall) => ({
  id,
  type: 'function',
  function: { name, arguments: JSON.stringify(given) },
});

const chunkObject = (kind: AnswerKind): string => (kind === 'chat' ? 'chat.completion.chunk' : 'text_completion');

/** A piece of text, or the calls; the first piece of a chat also has the role. */
export function answerPiece({ kind, head, tokenText, withLogprobs }: FormParams, piece: CompletionPiece, isFirst: boolean) {
  const { text, part, tokens, calls } = piece;
  const logprobs = withLogprobs ? logprobsOf(kind, tokens, tokenText) : null;
  const choice = { index: 0, finish_reason: null, logprobs };
  const saidText = part === 'reasoning' ? { reasoning_content: text } : { content: text };
  const said = calls.length === 0 ? saidText : { tool_calls: calls.map((call, index) => ({ index, ...callOf(call) })) };
  const delta = { ...(isFirst && { role: 'assistant' }), ...said };
  return { ...head, object: chunkObject(kind), choices: [kind === 'chat' ? { ...choice, delta } : { ...choice, text }] };
}

/** The last piece, with the reason for the end. */
export function lastPiece({ kind, head }: FormParams, completion: Completion) {
  const choice = { index: 0, finish_reason: finishOf(completion), logprobs: null };
  return { ...head, object: chunkObject(kind), choices: [kind === 'chat' ? { ...choice, delta: {} } : { ...choice, text: '' }] };
}

/** The piece without choices that `stream_options.include_usage` requests. */
export const usagePiece = ({ kind, head }: FormParams, completion: Completion) => ({
  ...head,
  object: chunkObject(kind),
  choices: [],
  usage: usageOf(completion),
});

function logprobsOf(kind: AnswerKind, tokens: readonly DrawnToken[], tokenText: TokenText) {
  const entry = ({ id, logprob }: TokenLogprob) => {
    const token = tokenText(id);
    return { token, logprob, bytes: [...Buffer.from(token)] };
  };
  if (kind === 'chat') return { content: tokens.map(token => ({ ...entry(token), top_logprobs: token.top.map(entry) })), refusal: null };
  return {
    tokens: tokens.map(({ id }) => tokenText(id)),
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: tokens.map(({ top }) => Object.fromEntries(top.map(({ id, logprob }) => [tokenText(id), logprob]))),
  };
}

export const errorBody = ({
  message,
  status,
  param = null,
  code = null,
}: Pick<RequestError, 'message' | 'status'> & {
  readonly param?: string | null | undefined;
  readonly code?: string | null | undefined;
}) => ({ error: { message, type: status >= 500 ? 'server_error' : 'invalid_request_error', param, code } });
