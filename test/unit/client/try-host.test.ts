/** Tests the host of the Try page, with a daemon that only records its requests. */
import { expect, test } from 'vitest';
import type { PageServices } from '../../../client/pages/page-services.ts';
import { connectTry } from '../../../client/pages/try-host.ts';
import type { JobRecord, RequestParams } from '../../../trainer/protocol/messages/rpc-messages.ts';
import type { ComparedSample } from '../../../trainer/protocol/view/compared-sample.ts';
import { TRY_DEFAULTS, type TryRound, type TryToPage } from '../../../trainer/protocol/view/try.ts';
import { fakeDaemon } from '../../support/daemon/fake-daemon.ts';
import { jobRecord } from '../../support/daemon/job-record.ts';
import { until } from '../../support/machine/until.ts';
import { openTestPage, testServices } from '../../support/pages/page-host.ts';

const state = { model: '/m', revision: 'main', baseDir: '/w', label: 'spam', adapter: '/w/runs/spam' };

/** Creates a host whose jobs run when the test says so. */
function setUp(given: Readonly<Record<string, unknown>> = state, answer: () => Promise<void> = async () => undefined, readsImages = false) {
  const asked: (readonly [string, RequestParams<'generate'> | RequestParams<'abortJob'>])[] = [];
  const services = testServices();
  const { store } = services;
  const record = (id: string, change: Partial<JobRecord> = {}): JobRecord =>
    jobRecord({ id, kind: 'generate', state: 'queued', title: 'm', ...change });
  const put = (found: JobRecord): JobRecord => {
    store.put(found);
    return found;
  };
  const daemon = fakeDaemon({
    generate: async params => {
      asked.push(['generate', params]);
      await answer();
      return put(record(params.id));
    },
    readsImages: async () => ({ readsImages }),
    abortJob: async params => {
      asked.push(['abortJob', params]);
      return put(record(params.id, { state: 'aborted' }));
    },
  });
  const page = openTestPage<TryToPage>(connectTry, {
    state: given,
    services: { ...services, daemon: async () => daemon } satisfies PageServices,
  });
  let seq = 0;
  const say = (jobId: string, chunk: string): void => store.event({ seq: ++seq, jobId, event: { type: 'text', chunk } });
  const succeed = (id: string, result: object): void => void store.put(record(id, { state: 'succeeded', result }));
  const end = (id: string, text: string): void =>
    store.put(record(id, { state: 'succeeded', result: { text, ids: [1, 2], tokensPerSecond: 12.34, finishReason: 'end' } }));
  const rounds = (): readonly TryRound[] => {
    page.receive({ type: 'ready' });
    const last = page.posted.at(-1);
    return last?.type === 'view' ? last.rounds : [];
  };
  return { ...page, asked, store, say, end, succeed, record, rounds, calls: services.calls };
}

const ask = { type: 'ask', prompt: 'hello', options: TRY_DEFAULTS };
const generated = (asked: ReturnType<typeof setUp>['asked']) => asked.flatMap(([, params]) => ('options' in params ? [params] : []));

test('the base and the tuned run get the same prompt', async () => {
  const page = setUp();
  expect(page.rounds()).toEqual([]);
  expect(page.posted[0]).toMatchObject({ type: 'view', label: 'spam', sides: ['base', 'tuned'] });
  page.receive(ask);
  await until(() => page.asked.length === 2, 'both sides are asked');
  const [base, tuned] = generated(page.asked);
  expect(base).toMatchObject({
    model: '/m',
    revision: 'main',
    baseDir: '/w',
    prompt: 'hello',
    options: { chat: true, engine: 'auto', maxNewTokens: TRY_DEFAULTS.maxNewTokens },
  });
  expect([base?.adapter, tuned?.adapter]).toEqual([undefined, '/w/runs/spam']);
  expect(page.titles).toEqual(['Try: spam']);
});

test('text is shown piece by piece, and complete at the end', async () => {
  const page = setUp();
  page.receive(ask);
  await until(() => page.asked.length === 2, 'both sides are asked');
  const [base] = generated(page.asked);
  for (const chunk of ['a', 'b', 'c']) page.say(base?.id ?? '', chunk);
  expect(page.posted.filter(({ type }) => type === 'text')).toEqual([
    { type: 'text', side: 'base', chunk: 'b' },
    { type: 'text', side: 'base', chunk: 'c' },
  ]);
  expect(page.rounds()[0]?.answers).toMatchObject([
    { side: 'base', text: 'abc', state: 'writing' },
    { side: 'tuned', text: '', state: 'waiting' },
  ]);
  page.end(base?.id ?? '', 'abcd');
  expect(page.rounds()[0]?.answers[0]).toEqual({ side: 'base', text: 'abcd', state: 'done', note: '2 tokens, 12.3 per second' });
});

test('Stop aborts both answers, and later text is ignored', async () => {
  const page = setUp();
  page.receive(ask);
  await until(() => page.asked.length === 2, 'both sides are asked');
  const ids = generated(page.asked).map(({ id }) => id);
  page.receive({ type: 'stop' });
  await until(() => page.asked.length === 4, 'both are aborted');
  expect(page.asked.slice(2).map(([name, { id }]) => [name, id])).toEqual(ids.map(id => ['abortJob', id]));
  page.say(ids[0] ?? '', 'late');
  expect(page.rounds()[0]?.answers.map(answer => [answer.state, answer.text])).toEqual([
    ['stopped', ''],
    ['stopped', ''],
  ]);
  page.receive({ ...ask, prompt: 'again' });
  await until(() => page.rounds().length === 2, 'it can be asked again');
});

test('a second question waits for the first answer', async () => {
  const page = setUp();
  page.receive(ask);
  page.receive(ask);
  await until(() => page.asked.length === 2, 'both sides are asked');
  expect(page.rounds()).toHaveLength(1);
});

test('a model without an adapter has one side', async () => {
  const { adapter: _, ...alone } = state;
  const page = setUp(alone);
  page.receive(ask);
  await until(() => page.asked.length === 1, 'it is asked');
  expect(page.rounds()[0]?.answers.map(({ side }) => side)).toEqual(['base']);
});

test('a failure is shown in place of the answer, with its hint', async () => {
  const page = setUp();
  page.receive(ask);
  await until(() => page.asked.length === 2, 'both sides are asked');
  const [base] = generated(page.asked);
  const failure = { code: 'model-file', message: 'no weights.', hint: 'Look again' };
  page.store.put(page.record(base?.id ?? '', { state: 'failed', failure }));
  expect(page.rounds()[0]?.answers[0]).toMatchObject({ state: 'failed', note: 'no weights. Look again' });
});

test('a daemon that refuses leaves nothing waiting', async () => {
  const page = setUp(state, async () => Promise.reject(new Error('no daemon')));
  page.receive(ask);
  await until(() => page.calls.some(([name]) => name === 'showError'), 'the error is shown');
  expect(page.rounds()[0]?.answers.map(answer => answer.state)).toEqual(['failed', 'failed']);
});

test('after a reload the questions are there, and a job that was running is followed to its end', async () => {
  const before = setUp();
  before.receive(ask);
  await until(() => before.asked.length === 2, 'both sides are asked');
  const [base] = generated(before.asked);
  const after = setUp(before.kept.at(-1));
  after.end(base?.id ?? '', 'said meanwhile');
  expect(after.rounds()[0]).toMatchObject({ prompt: 'hello', answers: [{ state: 'done', text: 'said meanwhile' }, { state: 'waiting' }] });
});

test('clear forgets the questions', async () => {
  const page = setUp();
  page.receive(ask);
  await until(() => page.asked.length === 2, 'both sides are asked');
  page.receive({ type: 'clear' });
  await until(() => page.kept.at(-1)?.rounds !== undefined && page.rounds().length === 0, 'the questions are gone');
});

test('invalid messages and states do nothing', () => {
  const page = setUp();
  for (const message of [undefined, {}, { type: 'ask' }, { ...ask, options: { ...TRY_DEFAULTS, maxNewTokens: 1e9 } }])
    page.receive(message);
  expect([page.asked, page.calls.map(([name]) => name)]).toEqual([[], ['warn', 'warn', 'warn', 'warn']]);
  const empty = setUp({ model: 3 });
  expect(empty.rounds()).toEqual([]);
  expect(empty.posted.at(-1)).toMatchObject({ sides: [] });
});

test('base and tuned model are both prompted as in training, unless another style is chosen', async () => {
  const asked = async (prompt: 'trained' | 'chat' | 'plain') => {
    const page = setUp();
    page.receive({ ...ask, options: { ...TRY_DEFAULTS, prompt } });
    await until(() => page.asked.length === 2, 'both sides are asked');
    return generated(page.asked);
  };
  const trained = await asked('trained');
  expect(trained.map(({ promptOf }) => promptOf)).toEqual([state.adapter, state.adapter]);
  expect((await asked('chat')).map(({ promptOf, options }) => [promptOf, options.chat])).toEqual([
    [undefined, true],
    [undefined, true],
  ]);
  expect((await asked('plain')).map(({ promptOf, options }) => [promptOf, options.chat])).toEqual([
    [undefined, false],
    [undefined, false],
  ]);
});

test('an answer says how its prompt was written', async () => {
  const page = setUp();
  page.receive(ask);
  await until(() => page.asked.length === 2, 'both sides are asked');
  const [base, tuned] = generated(page.asked);
  const result = { text: 'ham', ids: [1], tokensPerSecond: 0, finishReason: 'end' };
  page.store.put(page.record(base?.id ?? '', { state: 'succeeded', result: { ...result, asTrained: true, chat: false } }));
  page.store.put(page.record(tuned?.id ?? '', { state: 'succeeded', result: { ...result, asTrained: false, chat: true } }));
  expect(page.rounds()[0]?.answers.map(({ note }) => note)).toEqual([
    '1 token, prompt formatted as in training',
    '1 token, prompt formatted by the chat template',
  ]);
});

test('a run that labels texts answers alone, with its most likely labels, which survive a reload', async () => {
  const page = setUp({ ...state, givesLabels: true });
  page.receive(ask);
  await until(() => page.asked.length === 1, 'it is asked');
  const labels = Array.from({ length: 30 }, (_, i) => ({ label: `topic ${i}`, probability: 1 / (i + 2) }));
  const [request] = generated(page.asked);
  page.succeed(request?.id ?? '', { text: 'lines', ids: [], tokensPerSecond: 0, finishReason: 'end', labels });
  const note = 'the 20 most likely of 30 labels';
  const answers = [{ side: 'tuned', text: 'lines', state: 'done', note, labels: labels.slice(0, 20) }];
  expect(page.rounds()[0]?.answers).toEqual(answers);
  expect(setUp(page.kept.at(-1)).rounds()[0]?.answers).toEqual(answers);
});

const url = (bytes: number): string => `data:image/png;base64,${Buffer.alloc(bytes).toString('base64')}`;
const thumbnail = 'data:image/webp;base64,AAAA';
const attach = (name: string, bytes = 4) => ({ type: 'attach', name, url: url(bytes), thumbnail });

/** Creates a host whose model reads images, and which knows that. */
async function seeing() {
  const page = setUp(state, undefined, true);
  page.receive({ type: 'ready' });
  await until(() => page.posted.some(message => message.type === 'view' && message.readsImages), 'images are offered');
  return page;
}

test('images go to both models with the question, and their thumbnails stay with it', async () => {
  const page = await seeing();
  for (const name of ['a.png', 'b.png', 'c.png']) page.receive(attach(name));
  page.receive({ type: 'detach', place: 1 });
  const attached = ['a.png', 'c.png'].map(name => ({ name, thumbnail, bytes: 4 }));
  expect(page.posted.at(-1)).toEqual({ type: 'attached', attached });
  page.receive({ type: 'ready' });
  expect(page.posted.at(-1)).toMatchObject({ type: 'view', attached });
  page.receive(ask);
  await until(() => page.asked.length === 2, 'both sides are asked');
  expect(generated(page.asked).map(({ images }) => images)).toEqual([
    [url(4), url(4)],
    [url(4), url(4)],
  ]);
  expect(page.posted.filter(({ type }) => type === 'attached').at(-1)).toEqual({ type: 'attached', attached: [] });
  const images = attached.map(({ name }) => ({ name, thumbnail }));
  expect([page.rounds()[0]?.images, setUp(page.kept.at(-1)).rounds()[0]?.images]).toEqual([images, images]);
});

test('images beyond the limits are refused with the reason, and the others stay', async () => {
  const page = await seeing();
  page.receive(attach('large.png', 15e6));
  page.receive(attach('larger.png', 6e6));
  expect(page.posted.at(-1)).toMatchObject({ attached: [{ name: 'large.png' }], problem: expect.stringContaining('in total') });
  page.receive({ type: 'detach', place: 0 });
  for (let i = 0; i < 17; i++) page.receive(attach(`${i}.png`));
  const last = page.posted.at(-1);
  expect(last).toMatchObject({ type: 'attached', problem: 'A prompt can have at most 16 images.' });
  expect(last?.type === 'attached' && last.attached.length).toBe(16);
});

test('a model that reads no images gets none', async () => {
  const page = setUp();
  page.receive({ type: 'ready' });
  page.receive(attach('a.png'));
  page.receive(ask);
  await until(() => page.asked.length === 2, 'both sides are asked');
  expect(generated(page.asked).map(({ images }) => images)).toEqual([undefined, undefined]);
  expect(page.posted.some(({ type }) => type === 'attached')).toBe(false);
});

const compared: ComparedSample = {
  part: 'eval',
  index: 1,
  count: 8,
  measure: 'logp',
  prompt: 'Q',
  answers: [
    { side: 'chosen', text: 'yes', tokens: 2, base: -2, tuned: -1 },
    { side: 'rejected', text: 'no', tokens: 3, base: -1.5, tuned: -3 },
  ],
};

test('a sample is scored by one job for both models, and its scores survive a reload whole', async () => {
  const page = setUp({ ...state, comparesAnswers: true });
  page.receive({ type: 'ready' });
  expect(page.posted.at(-1)).toMatchObject({ sides: ['base', 'tuned'], comparesAnswers: true });
  page.receive({ type: 'compare', sample: 1 });
  await until(() => page.asked.length === 1, 'it is asked');
  const [request] = generated(page.asked);
  expect(request).toMatchObject({ adapter: state.adapter, sample: 1, prompt: 'Sample 2' });
  page.succeed(request?.id ?? '', { text: '', ids: [], tokensPerSecond: 0, finishReason: 'end', compared });
  const answer = { side: 'tuned', text: '', state: 'done', note: 'sample 2 of 8 of the held-out data', compared };
  expect(page.rounds()).toEqual([{ prompt: 'Sample 2', answers: [answer] }]);
  expect(setUp(page.kept.at(-1)).rounds()).toEqual([{ prompt: 'Sample 2', answers: [answer] }]);
});

test('a reward model gets no prompt, and only runs on preferences have samples to compare', async () => {
  const reward = setUp({ ...state, comparesAnswers: true, scoresOnly: true });
  reward.receive(ask);
  expect([reward.rounds(), reward.posted.at(-1)]).toMatchObject([[], { sides: [], comparesAnswers: true }]);
  const other = setUp();
  other.receive({ type: 'compare', sample: 0 });
  other.receive({ type: 'compare', sample: 1e6 });
  expect([other.rounds(), other.asked, other.calls.map(([name]) => name)]).toEqual([[], [], ['warn']]);
});
