/** The HTTP server: checks access, dispatches requests, and sends the answers. */

import { randomInt } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { chatWithFloats } from '../format/chat-template/float-json.ts';
import type { AnswerReading } from '../generate/answer-parts.ts';
import { GenerateError } from '../generate/decoder.ts';
import { portOf } from '../machine/port-of.ts';
import { codeOf, messageOf } from '../protocol/error-facts.ts';
import { byteSize } from '../protocol/text/format.ts';
import { RunError } from '../run-error.ts';
import type { PromptImages } from '../vision/prompt-images.ts';
import { type AdmissionRules, admit } from './admission.ts';
import { readChatRequest, readCompletionRequest, readEmbeddingRequest, settingsOf } from './api-requests.ts';
import { type AnswerKind, answerHead, answerPiece, errorBody, lastPiece, usagePiece, wholeAnswer } from './api-responses.ts';
import type { CompletionSettings } from './complete.ts';
import { embeddings, type ServedEmbedder } from './embeddings.ts';
import { RequestError } from './request-error.ts';
import type { ServedModel } from './served-model.ts';

/** Maximum size of a body; a long conversation has a few hundred kilobytes. */
const MAX_BODY_BYTES = 32 * 2 ** 20;
/** Maximum number of requests that are being received, answered or waiting; more are refused rather than dropped silently. */
const MAX_OPEN = 64;
const HEADERS_TIMEOUT_MS = 10_000;
const BODY_TIMEOUT_MS = 60_000;

interface ServerPlace extends Pick<AdmissionRules, 'host'> {
  /** The port; 0 for a free one. */
  readonly port: number;
}

export interface ServeParams extends AdmissionRules, ServerPlace {
  /** Language models. */
  readonly models: readonly ServedModel[];
  readonly embedders: readonly ServedEmbedder[];
  /** Maximum length of an answer if a request names none. */
  readonly maxTokens: number;
  onRequest(line: string): void;
}

export interface RunningServer {
  readonly port: number;
  /** Accepts no more requests, cancels the current answers, and resolves when the engine is idle. */
  close(): Promise<void>;
}

/** @throws RunError if the port is in use, or the machine has no such address */
export async function startServer(params: ServeParams): Promise<RunningServer> {
  const requests = new Requests();
  const limits = { headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: BODY_TIMEOUT_MS, connectionsCheckingInterval: 2000 };
  const http = createServer(limits, (request, response) => void handle(params, requests, request, response));
  http.on('clientError', (_, socket) => socket.destroy());
  await listen(http, params);
  return {
    port: portOf(http),
    close: async () => {
      const closed = new Promise<void>(resolve => http.close(() => resolve()));
      http.closeAllConnections();
      await Promise.all([closed, requests.idle()]);
    },
  };
}

/** Checks the port before models are loaded, which takes minutes. @throws RunError as {@link startServer} */
export async function requireFreePort(place: ServerPlace): Promise<void> {
  const probe = createServer();
  await listen(probe, place);
  await new Promise<void>(resolve => probe.close(() => resolve()));
}

const listen = (http: Server, { host, port }: ServerPlace): Promise<void> =>
  new Promise((resolve, reject) => {
    http.once('error', error => {
      const isInUse = codeOf(error) === 'EADDRINUSE';
      const message = isInUse
        ? `port ${port} of ${host} is in use by another program`
        : `the server cannot listen at port ${port} of ${host}: ${error.message}`;
      const hint = 'Choose another port with --port (0 takes a free one), or another address with --host';
      reject(new RunError('port-unavailable', message, hint));
    });
    http.listen({ host, port }, resolve);
  });

/** The requests that are being received, answered or waiting. */
class Requests {
  private readonly open = new Set<Promise<unknown>>();

  /** @throws RequestError 429 if there are too many */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.open.size >= MAX_OPEN) throw new RequestError(429, `${MAX_OPEN} requests are open already; try again later`);
    const settled = work();
    this.open.add(settled);
    try {
      return await settled;
    } finally {
      this.open.delete(settled);
    }
  }

  async idle(): Promise<void> {
    await Promise.allSettled(this.open);
  }
}

async function handle(params: ServeParams, requests: Requests, request: IncomingMessage, response: ServerResponse): Promise<void> {
  response.on('error', () => undefined);
  try {
    const isPreflight = admit(params, request, response);
    if (isPreflight) response.writeHead(204).end();
    else await route(params, requests, request, response);
  } catch (error) {
    const refusal = toRefusal(error);
    params.onRequest(`${request.method} ${request.url}: ${refusal.status} ${refusal.message}`);
    if (response.headersSent) {
      // A stream has begun, so its reader gets the error as the last event.
      response.end(`data: ${JSON.stringify(errorBody(refusal))}\n\n`);
      return;
    }
    sendJson(response, refusal.status, errorBody(refusal));
  }
}

/** Converts errors: messages for people are kept, anything else is an internal error. */
function toRefusal(error: unknown): RequestError {
  if (error instanceof RequestError) return error;
  if (error instanceof GenerateError || (error instanceof Error && error.name === 'ChatTemplateError'))
    return new RequestError(400, error.message);
  return new RequestError(500, error instanceof Error ? error.message : String(error));
}

const ROUTES = ['GET /health', 'GET /v1/models', 'POST /v1/chat/completions', 'POST /v1/completions', 'POST /v1/embeddings'];

async function route(params: ServeParams, requests: Requests, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = (request.url ?? '').split('?')[0];
  switch (`${request.method} ${path}`) {
    case 'GET /health':
      return sendJson(response, 200, { status: 'ok' });
    case 'GET /v1/models':
      return sendJson(response, 200, {
        object: 'list',
        data: [...params.models, ...params.embedders].map(({ name }) => ({ id: name, object: 'model', created: 0, owned_by: 'rowtune' })),
      });
    case 'POST /v1/chat/completions':
      return requests.run(async () => chat(params, await readJson(request), response));
    case 'POST /v1/completions':
      return requests.run(async () => complete(params, await readJson(request), response));
    case 'POST /v1/embeddings':
      return requests.run(async () => embed(params, await readJson(request), response));
    default:
      throw new RequestError(404, `this server has no ${request.method} ${path}; it has ${ROUTES.join(', ')}`);
  }
}

async function chat(params: ServeParams, body: unknown, response: ServerResponse): Promise<void> {
  const request = readChatRequest(body);
  const { messages, tools, tool_choice: choice, chat_template_kwargs: given, reasoning_effort: effort } = request;
  const model = modelOf(params, request.model);
  const variables = { ...(effort !== undefined && { reasoning_effort: effort }), ...given };
  const { ids, images, reading } = await model.readChat({ messages, tools: choice === 'none' ? undefined : tools, variables });
  const settings = settingsOf(request, {
    maxTokens: request.max_completion_tokens ?? request.max_tokens ?? params.maxTokens,
    topLogprobs: request.logprobs === true ? (request.top_logprobs ?? 0) : undefined,
    freshSeed: randomInt(2 ** 32),
  });
  await answer({ kind: 'chat', params, model, ids, images, reading, settings, request, response });
}

async function complete(params: ServeParams, body: unknown, response: ServerResponse): Promise<void> {
  const request = readCompletionRequest(body);
  const model = modelOf(params, request.model);
  const settings = settingsOf(request, {
    maxTokens: request.max_tokens ?? params.maxTokens,
    topLogprobs: request.logprobs,
    freshSeed: randomInt(2 ** 32),
  });
  await answer({ kind: 'text', params, model, ids: model.textIds(request.prompt), settings, request, response });
}

async function embed({ models, embedders, onRequest }: ServeParams, body: unknown, response: ServerResponse): Promise<void> {
  const request = readEmbeddingRequest(body);
  const embedder = named(embedders, request.model, models, 'writes text; use /v1/chat/completions');
  const isGone = goneAfter(response);
  const begin = performance.now();
  const answer = await embeddings(embedder, request, isGone);
  const seconds = (performance.now() - begin) / 1000;
  onRequest(`${embedder.name}: ${answer.data.length} vectors of ${answer.usage.prompt_tokens} tokens in ${seconds.toFixed(1)} s`);
  sendJson(response, 200, answer);
}

/** Returns a function that checks whether the client disconnected before the answer was complete. */
function goneAfter(response: ServerResponse): () => boolean {
  let isGone = false;
  response.once('close', () => {
    isGone = !response.writableEnded;
  });
  return () => isGone;
}

interface AnswerRequest {
  readonly kind: AnswerKind;
  readonly params: ServeParams;
  readonly model: ServedModel;
  readonly ids: readonly number[];
  readonly images?: PromptImages | undefined;
  readonly reading?: AnswerReading | undefined;
  readonly settings: CompletionSettings;
  readonly request: {
    readonly stream?: boolean | undefined;
    readonly stream_options?: { readonly include_usage?: boolean | undefined } | undefined;
  };
  readonly response: ServerResponse;
}

async function answer({ kind, params, model, ids, images, reading, settings, request, response }: AnswerRequest): Promise<void> {
  const isGone = goneAfter(response);
  const form = {
    kind,
    head: answerHead(kind, model.name),
    tokenText: (id: number) => model.tokenText(id),
    withLogprobs: settings.topLogprobs !== undefined,
  };
  const isStream = request.stream === true;
  const send = (value: unknown): void => {
    if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store' });
    response.write(`data: ${JSON.stringify(value)}\n\n`);
  };
  let isFirst = true;
  const begin = performance.now();
  if (isGone()) throw new RequestError(499, 'the client is gone');
  const completion = await model.answer({
    ids,
    images,
    reading,
    settings,
    isCanceled: isGone,
    ...(isStream && {
      onPiece: piece => {
        send(answerPiece(form, piece, isFirst));
        isFirst = false;
      },
    }),
  });
  const seconds = (performance.now() - begin) / 1000;
  params.onRequest(
    `${model.name}: ${completion.promptTokens} tokens read, ${completion.completionTokens} written in ${seconds.toFixed(1)} s (${completion.finish})`,
  );
  if (!isStream) return sendJson(response, 200, wholeAnswer(form, completion));
  if (isFirst) send(answerPiece(form, { text: '', part: 'answer', tokens: [], calls: [] }, isFirst));
  send(lastPiece(form, completion));
  if (request.stream_options?.include_usage === true) send(usagePiece(form, completion));
  response.end('data: [DONE]\n\n');
}

const modelOf = ({ models, embedders }: ServeParams, name: string): ServedModel =>
  named(models, name, embedders, 'gives vectors of texts; use /v1/embeddings');

/** @param others available models of another kind @throws RequestError if no model has the name */
function named<T extends { readonly name: string }>(
  models: readonly T[],
  name: string,
  others: readonly { readonly name: string }[],
  instead: string,
): T {
  const found = models.find(model => model.name === name);
  if (found !== undefined) return found;
  if (others.some(model => model.name === name)) throw new RequestError(400, `${name} ${instead}`, { param: 'model' });
  const names = [...models, ...others].map(model => model.name).join(', ');
  throw new RequestError(404, `this server has no model ${name}; it has ${names}`, { param: 'model', code: 'model_not_found' });
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  let bytes = 0;
  const received: AsyncIterable<Buffer> = request;
  for await (const part of received) {
    bytes += part.length;
    if (bytes > MAX_BODY_BYTES)
      throw new RequestError(413, `the body of the request has more than ${byteSize(MAX_BODY_BYTES)}: send less text at a time`);
    parts.push(part);
  }
  try {
    const text = Buffer.concat(parts).toString('utf8');
    return chatWithFloats(text, JSON.parse(text));
  } catch (error) {
    throw new RequestError(400, `the body of the request is not JSON: ${messageOf(error)}`);
  }
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' }).end(JSON.stringify(value));
}
