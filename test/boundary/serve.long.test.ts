/**
 * Tests `rowtune serve` as programs use it: the npm package `openai` queries a tiny model, whose greedy text equals that of `rowtune
 * generate`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, rmSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { writeSentenceModules } from '../../trainer/format/sentence-modules.ts';
import { cli, golden, lastValue } from '../e2e/cli/run-cli.ts';
import { makeStateDir } from '../support/daemon/daemon.ts';
import { readGoldenJson } from '../support/files/read-json.ts';
import { CALL, REASONING, writeChatModels } from '../support/models/chat-models.ts';
import { makeTinyTask } from '../support/runs/tiny-task.ts';

const program = path.join(import.meta.dirname, '..', '..', 'bin', 'rowtune.mjs');
const task = makeTinyTask();
const env = { ROWTUNE_STATE: makeStateDir() };
let child: ChildProcess;
let url = '';
let token = '';
let openai: OpenAI;

beforeAll(async () => {
  await writeChatModels(task.folder);
  for (const part of ['bert', 'tiny-tokenizer'])
    cpSync(path.join(golden, part), path.join(task.folder, 'encoder'), { recursive: true, force: true });
  await writeSentenceModules(path.join(task.folder, 'encoder'), { mode: 'mean', normalize: true, dimensions: 32, maxLength: 24 });
  const args = [
    'serve',
    'tiny=model',
    'chatty',
    'caller',
    'talker',
    'tagger',
    'thinker',
    'speaker',
    'sentences=encoder',
    '--engine',
    'portable',
    '--port',
    '0',
    '--max-tokens',
    '8',
    '--allow-origin',
    'https://mine.example',
  ];
  child = spawn(process.execPath, [program, ...args], {
    cwd: task.folder,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const said: string[] = [];
  await new Promise<void>((resolve, reject) => {
    child.once('exit', () => reject(new Error(said.join('\n'))));
    if (child.stderr)
      createInterface({ input: child.stderr }).on('line', line => {
        said.push(line);
        url = /at (http\S+);/.exec(line)?.[1] ?? url;
        token = /API key: (\S+)/.exec(line)?.[1] ?? token;
        if (token !== '') resolve();
      });
  });
  openai = new OpenAI({ baseURL: url, apiKey: token, maxRetries: 0 });
});
afterAll(async () => {
  const ended = new Promise(resolve => child.once('exit', resolve));
  child.kill('SIGINT');
  expect(await ended).toBe(0);
  rmSync(task.folder, { recursive: true, force: true });
});

const prompt = 'note 3 says';
const greedy = { model: 'tiny', prompt, temperature: 0, max_tokens: 12 } as const;

test('models are listed', async () => {
  expect((await openai.models.list()).data.map(({ id }) => id)).toEqual([
    'tiny',
    'chatty',
    'caller',
    'talker',
    'tagger',
    'thinker',
    'speaker',
    'sentences',
  ]);
});

describe('completions', () => {
  test('greedy text is that of rowtune generate, whole and streamed', async () => {
    const args = ['generate', 'model', '--prompt', prompt, '--no-chat', '--max-new-tokens', '12', '--engine', 'portable', '--json'];
    const generated = lastValue(await cli(args, { cwd: task.folder, env }));
    const whole = await openai.completions.create(greedy);
    expect(whole.choices[0]?.text).toBe(generated.text);
    expect(whole.usage).toMatchObject({ prompt_tokens: generated.promptTokens, completion_tokens: 12 });
    expect(whole.choices[0]?.finish_reason).toBe('length');
    let streamed = '';
    for await (const piece of await openai.completions.create({ ...greedy, stream: true })) streamed += piece.choices[0]?.text ?? '';
    expect(streamed).toBe(generated.text);
  });

  test('answers that are asked for together are those that are asked for alone', async () => {
    const ask = async (question: string): Promise<string | undefined> =>
      (await openai.completions.create({ ...greedy, prompt: question, logprobs: 0, temperature: 1, seed: 3 })).choices[0]?.text;
    const questions = [prompt, 'note', `${prompt} that`, 'a', prompt, 'another'];
    const alone: unknown[] = [];
    for (const question of questions) alone.push(await ask(question));
    const together = await Promise.all(questions.map(ask));
    expect(together).toEqual(alone);
  });

  test('the same seed gives the same answer, another seed another one', async () => {
    const ask = async (seed: number) => (await openai.completions.create({ ...greedy, temperature: 1, seed })).choices[0]?.text;
    expect(await ask(1)).toBe(await ask(1));
    expect(await ask(1)).not.toBe(await ask(2));
  });

  test('a stop text ends the answer, which does not contain it', async () => {
    const { choices } = await openai.completions.create(greedy);
    const text = choices[0]?.text ?? '';
    const stop = text.slice(3, 5);
    const stopped = await openai.completions.create({ ...greedy, stop });
    expect(stopped.choices[0]).toMatchObject({ text: text.slice(0, text.indexOf(stop)), finish_reason: 'stop' });
  });

  test('probabilities add up to at most 1, and the greedy token is the likeliest', async () => {
    const { choices } = await openai.completions.create({ ...greedy, max_tokens: 3, logprobs: 5 });
    const { token_logprobs: drawn, top_logprobs: top } = choices[0]?.logprobs ?? {};
    expect(drawn).toHaveLength(3);
    // Decoding is greedy, so the drawn token is the most likely one.
    for (const [i, logprob] of (drawn ?? []).entries()) {
      const likeliest = Object.values(top?.[i] ?? {});
      expect(logprob).toBe(Math.max(...likeliest));
      expect(likeliest.reduce((sum, value) => sum + Math.exp(value), 0)).toBeLessThanOrEqual(1 + 1e-6);
    }
  });
});

describe('chats', () => {
  const messages = [
    { role: 'system', content: 'be brief' },
    { role: 'user', content: [{ type: 'text', text: 'note 3?' }] },
  ] satisfies OpenAI.ChatCompletionMessageParam[];
  const tools = [{ type: 'function', function: { name: 'find' } }] satisfies OpenAI.ChatCompletionTool[];
  const settings = { temperature: 0, max_tokens: 10 } as const;

  test.each([
    ['messages go through the template', {}, 's:be brief; u:note 3?; a:'],
    ['tools, too', { tools }, 's:be brief; u:note 3?; find a:'],
    ['unless none is to be chosen', { tools, tool_choice: 'none' as const }, 's:be brief; u:note 3?; a:'],
  ])('%s', async (_, more, rendered) => {
    const chat = await openai.chat.completions.create({ model: 'chatty', messages, ...settings, ...more });
    const text = await openai.completions.create({ model: 'tiny', prompt: rendered, ...settings });
    expect(chat.choices[0]?.message).toMatchObject({ role: 'assistant', content: text.choices[0]?.text });
    expect(chat.usage).toEqual(text.usage);
  });

  test('a stream has the text, probabilities and usage of a whole answer', async () => {
    const request = { model: 'chatty', messages, ...settings, logprobs: true, top_logprobs: 2 };
    const whole = await openai.chat.completions.create(request);
    let text = '';
    let finish: string | null = null;
    let usage: unknown;
    const logprobs: unknown[] = [];
    for await (const piece of await openai.chat.completions.create({ ...request, stream: true, stream_options: { include_usage: true } })) {
      text += piece.choices[0]?.delta.content ?? '';
      finish = piece.choices[0]?.finish_reason ?? finish;
      usage = piece.usage ?? usage;
      logprobs.push(...(piece.choices[0]?.logprobs?.content ?? []));
    }
    expect([text, finish]).toEqual([whole.choices[0]?.message.content, 'length']);
    expect(usage).toEqual(whole.usage);
    expect(logprobs).toEqual(whole.choices[0]?.logprobs?.content);
    expect(logprobs).toHaveLength(10);
  });

  test('forced tools, tools that would be dropped and other forms of answers are refused', async () => {
    const ask = (more: Partial<OpenAI.ChatCompletionCreateParamsNonStreaming>): Promise<unknown> =>
      openai.chat.completions.create({ model: 'chatty', messages, ...more });
    await expect(ask({ tools, tool_choice: 'required' })).rejects.toThrow(`'tool_choice' must be "auto" or "none" (now "required")`);
    // The template of this model drops tools.
    await expect(ask({ model: 'thinker', tools })).rejects.toThrow('the chat template of thinker passes no tools to the model; leave them');
    await expect(ask({ response_format: { type: 'json_object' } })).rejects.toThrow(`'response_format.type' must be "text"`);
  });
});

describe('calls of tools', () => {
  const messages = [{ role: 'user', content: 'find it' }] satisfies OpenAI.ChatCompletionMessageParam[];
  const tools = [{ type: 'function', function: { name: 'find' } }] satisfies OpenAI.ChatCompletionTool[];
  const called = { name: 'find', arguments: '{"text":"a note"}' };
  const request = { messages, temperature: 0, max_tokens: 10 } as const;

  test.each([
    ['caller', null],
    ['talker', 'Let me look. '],
    ['tagger', null],
  ])('%s: they are apart from the text', async (model, content) => {
    const { choices } = await openai.chat.completions.create({ ...request, model, tools });
    expect(choices[0]).toMatchObject({
      finish_reason: 'tool_calls',
      message: { role: 'assistant', content, tool_calls: [{ type: 'function', function: called }] },
    });
  });

  test.each(['caller', 'talker'])('%s: in a stream, with the probabilities of their tokens', async model => {
    const asked = { ...request, model, tools, logprobs: true };
    const whole = (await openai.chat.completions.create(asked)).choices[0];
    let text = '';
    const roles: unknown[] = [];
    const calls: unknown[] = [];
    const finishes: unknown[] = [];
    const tokens: string[] = [];
    for await (const { choices } of await openai.chat.completions.create({ ...asked, stream: true })) {
      const [choice] = choices;
      text += choice?.delta.content ?? '';
      roles.push(choice?.delta.role);
      calls.push(...(choice?.delta.tool_calls ?? []));
      if (choice?.finish_reason) finishes.push(choice.finish_reason);
      tokens.push(...(choice?.logprobs?.content ?? []).map(({ token }) => token));
    }
    expect(text).toBe(whole?.message.content ?? '');
    expect(roles.filter(role => role !== undefined)).toEqual(['assistant']);
    expect(calls).toEqual([{ index: 0, id: expect.stringMatching(/^call_\w{24}$/), type: 'function', function: called }]);
    expect(finishes).toEqual(['tool_calls']);
    expect(tokens.join('')).toBe(`${text}${CALL.join('')}`);
    expect(tokens).toEqual(whole?.logprobs?.content?.map(({ token }) => token));
  });

  test('the next request takes calls and their results as messages', async () => {
    const { choices } = await openai.chat.completions.create({ ...request, model: 'caller', tools });
    const call = choices[0]?.message;
    if (!call) throw new Error('no answer');
    const answer = { role: 'tool', tool_call_id: call.tool_calls?.[0]?.id ?? '', content: 'b' } as const;
    const { usage } = await openai.chat.completions.create({
      ...request,
      model: 'caller',
      messages: [...messages, call, answer],
      tools,
    });
    const prompt = 'find u:find it; a:<tool_call>{"name": "find", "arguments": {"text": "a note"}}</tool_call>; t:b; a:';
    const text = await openai.completions.create({ model: 'caller', prompt, max_tokens: 1 });
    expect(usage?.prompt_tokens).toBe(text.usage?.prompt_tokens);
  });

  test('without tools, or with tool_choice none, a call stays in the text', async () => {
    for (const more of [{}, { tools, tool_choice: 'none' as const }]) {
      const { choices } = await openai.chat.completions.create({ ...request, model: 'caller', ...more });
      expect(choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: CALL.join('') } });
      expect(choices[0]?.message.tool_calls).toBeUndefined();
    }
  });
});

describe('reasoning', () => {
  const messages = [{ role: 'user', content: 'find it' }] satisfies OpenAI.ChatCompletionMessageParam[];
  const request = { messages, temperature: 0, max_tokens: 10, logprobs: true } as const;
  const said = z.object({ reasoning_content: z.string().optional(), content: z.string().nullish() });

  test.each(['thinker', 'speaker'] as const)('%s: reasoning is separate from the answer, whole and in a stream', async model => {
    const { choices } = await openai.chat.completions.create({ ...request, model });
    expect(choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: 'It is there.', reasoning_content: 'We look.' } });
    const found = { reasoning_content: '', content: '' };
    const tokens: string[] = [];
    for await (const piece of await openai.chat.completions.create({ ...request, model, stream: true })) {
      const delta = said.parse(piece.choices[0]?.delta);
      found.reasoning_content += delta.reasoning_content ?? '';
      found.content += delta.content ?? '';
      tokens.push(...(piece.choices[0]?.logprobs?.content ?? []).map(({ token }) => token));
    }
    expect(found).toEqual({ reasoning_content: 'We look.', content: 'It is there.' });
    expect(tokens).toEqual(REASONING[model].pieces);
  });

  test('an answer that ends within its reasoning has no content', async () => {
    const { choices } = await openai.chat.completions.create({ ...request, model: 'thinker', max_tokens: 2 });
    expect(choices[0]).toMatchObject({ finish_reason: 'length', message: { content: '', reasoning_content: 'We' } });
  });

  test('rowtune generate writes the answer to stdout, and the reasoning to stderr', async () => {
    const args = ['generate', 'speaker', '--prompt', 'find it', '--engine', 'portable'];
    const { stdout, stderr } = await cli(args, { cwd: task.folder, env });
    expect(stdout).toBe('It is there.\n');
    expect(stderr).toContain('We look.');
    expect(lastValue(await cli([...args, '--json'], { cwd: task.folder, env }))).toMatchObject({
      text: 'It is there.',
      reasoning: 'We look.',
    });
  });
});

describe('embeddings', () => {
  const embed = async (input: OpenAI.EmbeddingCreateParams['input'], more: Partial<OpenAI.EmbeddingCreateParams> = {}) =>
    openai.embeddings.create({ model: 'sentences', input, ...more });
  const apart = (a: readonly number[], b: readonly number[]): number =>
    Math.max(...a.map((value, i) => Math.abs(value - (b[i] ?? Number.NaN))));

  test('vectors of ids are those of sentence-transformers', async () => {
    const rows = z.array(z.array(z.number()));
    const form = z.object({ texts: z.array(rows), cases: z.object({ pairs: z.object({ vectors: rows }) }) });
    const { texts, cases } = readGoldenJson('embeddings.json', form);
    const anchors = texts.map(sides => sides[0] ?? []);
    const { data, usage } = await embed(anchors);
    expect(data.map(({ index }) => index)).toEqual(anchors.map((_, i) => i));
    for (const [i, vector] of cases.pairs.vectors.entries()) expect(apart(vector, data[i]?.embedding ?? [])).toBeLessThan(1e-5);
    expect(usage).toEqual({ prompt_tokens: anchors.flat().length, total_tokens: anchors.flat().length });
  });

  test('inputs of every length are embedded as numbers or base64, in full or fewer dimensions', async () => {
    const texts = ['a note', 'a note of several words'];
    // The package requests base64 if no format is named.
    const [whole, plain, short] = await Promise.all([
      embed(texts),
      embed(texts, { encoding_format: 'float' }),
      embed(texts, { dimensions: 8 }),
    ]);
    expect(whole.data).toEqual(plain.data);
    for (const [i, { embedding }] of whole.data.entries()) {
      expect(embedding).toHaveLength(32);
      expect(Math.hypot(...embedding)).toBeCloseTo(1, 5);
      const cut = embedding.slice(0, 8);
      expect(
        apart(
          cut.map(value => value / Math.hypot(...cut)),
          short.data[i]?.embedding ?? [],
        ),
      ).toBeLessThan(1e-6);
    }
    expect(apart((await embed('a note')).data[0]?.embedding ?? [], whole.data[0]?.embedding ?? [])).toBe(0);
  });

  test.each([
    ['a text that is too long', () => embed('x'.repeat(100)), 'more than the 24 tokens'],
    ['ids that are too many', () => embed(Array.from({ length: 50 }, () => 5)), 'at most 24 are read'],
    ['an id that is none', () => embed([[100_000]]), 'has no id 100000'],
    ['more dimensions than there are', () => embed('a', { dimensions: 64 }), 'have 32 numbers'],
    ['nothing', () => embed([]), "'input' must be a text"],
    ['a language model', () => embed('a', { model: 'tiny' }), 'tiny writes text; use /v1/chat/completions'],
    [
      'text of an encoder',
      () => openai.completions.create({ ...greedy, model: 'sentences' }),
      'sentences gives vectors of texts; use /v1/embeddings',
    ],
  ])('%s is refused', async (_, ask, message) => {
    await expect(ask()).rejects.toThrow(message);
  });
});

describe('what is refused', () => {
  const status = (ask: Promise<unknown>): Promise<unknown> =>
    ask.then(
      () => 200,
      (error: InstanceType<typeof OpenAI.APIError>) => [error.status, error.message],
    );

  test('a wrong key, a page of another origin and another host are refused', async () => {
    const other = new OpenAI({ baseURL: url, apiKey: 'sk-wrong', maxRetries: 0 });
    expect(await status(other.models.list())).toEqual([401, expect.stringContaining('API key')]);
    const headers = { authorization: `Bearer ${token}` };
    expect((await fetch(`${url}/models`, { headers: { ...headers, origin: 'https://evil.example' } })).status).toBe(403);
    const allowed = await fetch(`${url}/models`, { headers: { ...headers, origin: 'https://mine.example' } });
    expect([allowed.status, allowed.headers.get('access-control-allow-origin')]).toEqual([200, 'https://mine.example']);
  });

  test.each([
    [
      'another model',
      { ...greedy, model: 'big' },
      404,
      'this server has no model big; it has tiny, chatty, caller, talker, tagger, thinker, speaker, sentences',
    ],
    ['two answers', { ...greedy, n: 2 }, 400, "'n' must be 1, because a request gets one answer"],
    ['a penalty', { ...greedy, frequency_penalty: 0.5 }, 400, "'frequency_penalty' must be 0"],
    ['an unknown parameter', { ...greedy, min_p: 0.1 }, 400, "'min_p' is not a parameter of this request"],
    ['too long a prompt', { ...greedy, prompt: 'x'.repeat(500) }, 400, 'positions'],
  ])('%s', async (_, request, code, message) => {
    expect(await status(openai.completions.create(request))).toEqual([code, expect.stringContaining(message)]);
  });

  test('a chat is refused if the model has no chat template', async () => {
    const ask = openai.chat.completions.create({ model: 'tiny', messages: [{ role: 'user', content: 'Hi' }] });
    expect(await status(ask)).toEqual([400, expect.stringContaining('has no chat template; use /v1/completions')]);
  });
});

test('a client that disconnects ends its answer, and the next request is answered', async () => {
  const abort = new AbortController();
  const stream = await openai.completions.create({ ...greedy, max_tokens: 40, stream: true }, { signal: abort.signal });
  for await (const _ of stream) {
    abort.abort();
    break;
  }
  expect((await openai.completions.create({ ...greedy, max_tokens: 1 })).usage?.completion_tokens).toBe(1);
});
