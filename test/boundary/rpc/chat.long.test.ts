/** Tests runs in a chat: a real daemon lists them, counts their tokens, and answers a conversation in a real worker. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chatAnswer, longestAnswer } from '../../../client/agent/chat-answer.ts';
import { isRunning } from '../../../trainer/machine/process-identity.ts';
import { isRecord } from '../../../trainer/narrow.ts';
import { type ChatModel, requests } from '../../../trainer/protocol/messages/rpc-messages.ts';
import { stringifyRecipe } from '../../../trainer/protocol/recipe/stringify-recipe.ts';
import { connectTo, startTestDaemon, until } from '../../support/daemon/daemon.ts';
import { readRecord } from '../../support/files/read-json.ts';
import { testServices } from '../../support/pages/page-host.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

const TEMPLATE =
  '{% if tools %}{{ tools[0].function.name }};{% endif %}{% for m in messages %}{{ m.role[0] }}:{{ m.content }}{% if m.tool_calls %}CALL {{ {"name": m.tool_calls[0].function.name, "arguments": m.tool_calls[0].function.arguments} | tojson }}{% endif %};{% endfor %}{% if add_generation_prompt %}a:{% endif %}';
const task = makeTinyTask();
const model = join(task.folder, 'model');
writeFileSync(join(model, 'chat_template.jinja'), TEMPLATE);
// Enough positions for an answer that can be canceled while it is being written.
const config = readRecord(join(model, 'config.json'));
writeFileSync(join(model, 'config.json'), JSON.stringify({ ...config, max_position_embeddings: 4096 }));
const chats = ['lunch', 'dinner', 'tea', 'rest'].map(content =>
  JSON.stringify({
    messages: [
      { role: 'user', content },
      { role: 'assistant', content: 'yes' },
    ],
  }),
);
writeFileSync(join(task.folder, 'chats.jsonl'), chats.join('\n'));

const daemon = await startTestDaemon();
const client = await connectTo(daemon, true);
const services = testServices();
let run: ChatModel;

beforeAll(async () => {
  await services.follow(client);
  const text = stringifyRecipe(task.recipe('data.train=[chats.jsonl]', 'data.eval=null', 'max_steps=1', 'engine=portable'));
  const recipe = { text, fileName: 'talk.rowtune.yaml', baseDir: task.folder };
  await client.request('train', { id: 'talk', recipe });
  const ended = await client.request('waitForJob', { id: 'talk' });
  expect(ended).toMatchObject({ state: 'succeeded' });
});
afterAll(async () => {
  client.close();
  await daemon.stop();
  rmSync(task.folder, { recursive: true, force: true });
});

const conversation = { messages: [{ role: 'user', content: 'lunch' }] };
const ask = (change: Partial<Parameters<typeof chatAnswer>[0]> = {}) =>
  chatAnswer({
    services,
    model: run,
    conversation,
    settings: { max_tokens: 6 },
    onText: () => undefined,
    keepSeconds: 0,
    signal: new AbortController().signal,
    ...change,
  });
const newestAnswer = () => services.store.list().findLast(({ kind }) => kind === 'generate');

test('a run is listed with what its base says about chats', async () => {
  const { models } = await client.request('listChatModels', { folders: [task.folder] });
  expect(models).toMatchObject([{ family: 'llama', positions: 4096, callsTools: true, readsImages: false, model, method: 'spsft' }]);
  const [only] = models;
  if (only !== undefined) run = only;
  expect(longestAnswer(run)).toBe(2048);
});

test('tokens are those of its tokenizer', async () => {
  // One token per character.
  expect(await client.request('countTokens', { runDir: run.runDir, texts: ['lunch at 7', ''] })).toEqual({ tokens: [10, 0] });
  const missing = client.request('countTokens', { runDir: join(task.folder, 'none'), texts: ['x'] });
  await expect(missing).rejects.toMatchObject({ code: 'run-missing' });
});

test('an answer arrives in pieces, and is that of the Try page', async () => {
  let said = '';
  expect(await ask({ onText: chunk => (said += chunk) })).toEqual([]);
  expect(newestAnswer()?.result).toMatchObject({ text: said, chat: true, promptTokens: 'u:lunch;a:'.length });
  const options = { engine: 'auto', chat: true, maxNewTokens: 6, temperature: 0, topP: 1, topK: 0, seed: 42 } as const;
  const { runDir, revision } = run;
  const request = { model, revision, adapter: runDir, promptOf: runDir, baseDir: runDir, prompt: 'lunch', options };
  await client.request('generate', { id: 'try', ...request });
  expect((await client.request('waitForJob', { id: 'try' })).result).toMatchObject({ text: said });
});

test('tools reach the prompt', async () => {
  const tools = [{ type: 'function', function: { name: 'find', parameters: {} } }];
  await ask({ conversation: { ...conversation, tools } });
  expect(newestAnswer()?.result).toMatchObject({ promptTokens: 'find;u:lunch;a:'.length, toolCalls: [] });
});

test('a canceled answer ends its job', async () => {
  const abort = new AbortController();
  expect(await ask({ settings: { max_tokens: 4000 }, onText: () => abort.abort(), signal: abort.signal })).toEqual([]);
  expect(newestAnswer()).toMatchObject({ state: 'aborted' });
});

describe('a model that is kept', () => {
  const pids: number[] = [];
  const stop = services.onJobChanged(({ kind, state, pid }) => {
    if (kind === 'generate' && state === 'running' && pid !== undefined && pids.at(-1) !== pid) pids.push(pid);
  });
  afterAll(() => stop());
  const newestText = (): string => {
    const result = newestAnswer()?.result;
    return isRecord(result) ? String(result.text) : '';
  };
  /** Requests an answer from a process that stays. @returns the text and the process id */
  const keep = async (change: Parameters<typeof ask>[0] = {}): Promise<{ readonly text: string; readonly pid: number }> => {
    await ask({ keepSeconds: 600, ...change });
    return { text: newestText(), pid: pids.at(-1) ?? Number.NaN };
  };

  test('answers again in the same process, also after a canceled answer, with the same text', async () => {
    await ask();
    const alone = newestText();
    const first = await keep();
    expect(first.text).toBe(alone);
    const longer = { messages: [...conversation.messages, { role: 'assistant', content: alone }, { role: 'user', content: 'tea' }] };
    expect((await keep({ conversation: longer })).pid).toBe(first.pid);
    const abort = new AbortController();
    await keep({ settings: { max_tokens: 4000 }, onText: () => abort.abort(), signal: abort.signal });
    expect(newestAnswer()).toMatchObject({ state: 'aborted' });
    expect(await keep()).toEqual(first);
  });

  test('ends when another job takes the device, after an error, and when its time is over', async () => {
    const { pid } = await keep();
    await ask();
    await until(() => !isRunning({ pid }), 'the process is gone');
    const next = await keep();
    expect(next.pid).not.toBe(pid);
    const long = { messages: [{ role: 'user', content: 'x'.repeat(5000) }] };
    await expect(keep({ conversation: long })).rejects.toThrow('shorten the prompt');
    const third = await keep({ keepSeconds: 1 });
    expect(third.pid).not.toBe(next.pid);
    await until(() => !isRunning(third), 'its time is over');
  });
});

test('an error says what to do', async () => {
  const long = { messages: [{ role: 'user', content: 'x'.repeat(5000) }] };
  await expect(ask({ conversation: long })).rejects.toThrow(/5005 tokens; this model has 4096 positions: shorten the prompt/);
  // A client that is not ours validates nothing.
  const bad = client.request('generate', { id: 'bad', conversation: { messages: [{}] } } as never);
  await expect(bad).rejects.toThrow(`${requests.generate.method}: `);
});

test('notes are written by the daemon, and an archived run is left out', async () => {
  const { runDir } = run;
  await client.request('noteRun', { runDir, change: { name: 'The best', addTags: ['mails'], note: 'Ship it.', pinned: true } });
  const [named] = (await client.request('listRuns', { folders: [task.folder] })).runs;
  expect(named).toMatchObject({ name: 'The best', tags: ['mails'], note: 'Ship it.', pinned: true });
  await client.request('noteRun', { runDir, change: { removeTags: ['mails'], archived: true } });
  const [archived] = (await client.request('listRuns', { folders: [task.folder] })).runs;
  expect(archived).toMatchObject({ name: 'The best', archived: true });
  expect(archived?.tags).toBeUndefined();
  expect(await client.request('listChatModels', { folders: [task.folder] })).toEqual({ models: [] });
  await expect(client.request('noteRun', { runDir, change: { name: 'x'.repeat(300) } })).rejects.toMatchObject({ code: 'bad-params' });
  await expect(client.request('noteRun', { runDir: task.folder, change: {} })).rejects.toMatchObject({ code: 'run-missing' });
});
