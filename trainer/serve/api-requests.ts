/**
 * The supported requests of the OpenAI API. Unsupported parameters are refused by name; those that do not affect an answer are accepted.
 */
import { z } from 'zod';
import { argumentsIn } from '../data/tool-calls/call-form.ts';
import { functionOf } from '../data/tool-calls/function-of.ts';
import { elementAt, isRecord } from '../narrow.ts';
import type { CompletionSettings } from './complete.ts';
import { RequestError } from './request-error.ts';
import { MAX_INPUTS, MAX_MESSAGES, MAX_STOPS, MAX_TOP_LOGPROBS, requestProblem } from './request-problem.ts';

const text = z.string();
/** An optional parameter; clients of the API may send null for a missing value. */
const maybe = <T extends z.ZodType>(type: T) => type.nullish().transform(value => value ?? undefined);
/** A parameter that is accepted only with the value that has no effect. */
const idle = (value: unknown) =>
  z
    .unknown()
    .optional()
    .refine(given => given == null || given === value);
const count = z.int().min(1);

const sampling = {
  model: text,
  temperature: maybe(z.number().min(0).max(2)),
  top_p: maybe(z.number().gt(0).max(1)),
  /** As in other local servers. */
  top_k: maybe(z.int().min(0)),
  seed: maybe(z.int()),
  stop: maybe(z.union([text, z.array(text).max(MAX_STOPS)])),
  stream: maybe(z.boolean()),
  stream_options: maybe(z.object({ include_usage: maybe(z.boolean()) })),
  n: idle(1),
  frequency_penalty: idle(0),
  presence_penalty: idle(0),
  logit_bias: z
    .unknown()
    .optional()
    .refine(given => given == null || JSON.stringify(given) === '{}'),
  // These describe the client and do not affect the answer.
  user: z.unknown().optional(),
  metadata: z.unknown().optional(),
  store: z.unknown().optional(),
  service_tier: z.unknown().optional(),
  safety_identifier: z.unknown().optional(),
  prompt_cache_key: z.unknown().optional(),
};

/** An image inside the request. Addresses are not opened: a request must not make the server read files or other servers. */
const image = z
  .object({ type: z.literal('image_url'), image_url: z.looseObject({ url: z.string().regex(/^data:image\//) }) })
  .transform(({ type, image_url: { url } }) => ({ type, image_url: { url } }));
const part = z.union([z.object({ type: z.literal('text'), text }), image]);

const hasName = (of: unknown): boolean => isRecord(of) && typeof of.name === 'string' && of.name !== '';
const tool = z.looseObject({}).refine(given => hasName(functionOf(given)));
/** Replaces empty arguments: some clients send an empty text for a call without arguments. */
const withArguments = (given: unknown): unknown => {
  const inner = functionOf(given);
  if (!isRecord(given) || !isRecord(inner) || typeof inner.arguments !== 'string' || inner.arguments.trim() !== '') return given;
  const filled = { ...inner, arguments: '{}' };
  return inner === given ? filled : { ...given, function: filled };
};
/** A call; templates read the arguments of earlier calls. */
const call = z.preprocess(
  withArguments,
  z.looseObject({}).refine(given => {
    const inner = functionOf(given);
    return hasName(inner) && isRecord(inner) && (inner.arguments == null || argumentsIn(inner.arguments) !== undefined);
  }),
);

const message = z.looseObject({
  role: z.enum(['system', 'developer', 'user', 'assistant', 'tool', 'function']),
  content: z.union([text, z.array(part), z.null()]).optional(),
  tool_calls: z.array(call).nullish(),
});

const chatSchema = z.strictObject({
  ...sampling,
  messages: z.array(message).min(1).max(MAX_MESSAGES),
  max_tokens: maybe(count),
  max_completion_tokens: maybe(count),
  logprobs: maybe(z.boolean()),
  top_logprobs: maybe(z.int().min(0).max(MAX_TOP_LOGPROBS)),
  tools: maybe(z.array(tool)),
  tool_choice: maybe(z.enum(['auto', 'none'])),
  parallel_tool_calls: z.unknown().optional(),
  response_format: maybe(z.object({ type: z.literal('text') })),
  reasoning_effort: maybe(text),
  /** Variables of the template, as in other local servers. */
  chat_template_kwargs: maybe(z.record(text, z.unknown())),
});

const completionSchema = z.strictObject({
  ...sampling,
  prompt: text,
  max_tokens: maybe(count),
  logprobs: maybe(z.int().min(0).max(MAX_TOP_LOGPROBS)),
  echo: idle(false),
  best_of: idle(1),
  suffix: idle(undefined),
});

const id = z.int().min(0);
const several = <T extends z.ZodType>(type: T) => z.array(type).min(1).max(MAX_INPUTS);

const embeddingSchema = z.strictObject({
  model: text,
  input: z.union([text, several(text), several(id), several(z.array(id).min(1))]),
  dimensions: maybe(count),
  encoding_format: maybe(z.enum(['float', 'base64'])),
  user: z.unknown().optional(),
});

export type EmbeddingRequest = z.infer<typeof embeddingSchema>;
export type ChatRequest = z.infer<typeof chatSchema>;
export type CompletionRequest = z.infer<typeof completionSchema>;

/** @throws RequestError that names the first wrong parameter */
export const readChatRequest = (body: unknown): ChatRequest => read(chatSchema, body);
export const readEmbeddingRequest = (body: unknown): EmbeddingRequest => read(embeddingSchema, body);
export const readCompletionRequest = (body: unknown): CompletionRequest => read(completionSchema, body);

function read<T>(schema: z.ZodType<T> & { readonly shape: object }, body: unknown): T {
  const { data, error } = schema.safeParse(body);
  if (data !== undefined) return data;
  const { param, message } = requestProblem(elementAt(error?.issues ?? [], 0), body, Object.keys(schema.shape));
  throw new RequestError(400, message, { param });
}

/** The settings that both kinds of requests share, with the API's defaults. */
export function settingsOf(
  request: Pick<ChatRequest, 'temperature' | 'top_p' | 'top_k' | 'seed' | 'stop'>,
  {
    maxTokens,
    topLogprobs,
    freshSeed,
  }: { readonly maxTokens: number; readonly topLogprobs: number | undefined; readonly freshSeed: number },
): CompletionSettings {
  const { temperature = 1, top_p: topP = 1, top_k: topK = 0, seed = freshSeed, stop = [] } = request;
  return { temperature, topP, topK, seed: seed >>> 0, stop: typeof stop === 'string' ? [stop] : stop, maxTokens, topLogprobs };
}
