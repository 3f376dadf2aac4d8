/** Tests small parts of the client: settings, job store, restarts, throttle, the document of a page. */
import { describe, expect, test, vi } from 'vitest';
import { DEFAULTS, isLogged, readClientSettings, type SettingName } from '../../../client/client-settings.ts';
import { JobStore } from '../../../client/daemon/job-store.ts';
import { createRestartPolicy } from '../../../client/daemon/restart-policy.ts';
import { KEEP_STATE, pageHtml, restoredState } from '../../../client/pages/page-html.ts';
import { inOrderOfUse } from '../../../client/recipe/recipe-names.ts';
import { throttle } from '../../../client/throttle.ts';
import { jobRecord } from '../../support/daemon/job-record.ts';

describe('settings', () => {
  const read = (given: Partial<Record<SettingName, unknown>>) => readClientSettings(name => (name in given ? given[name] : DEFAULTS[name]));

  test('are read into plain values', () => {
    expect(read({})).toMatchObject({
      node: '',
      engine: 'default',
      daemonUrl: '',
      updateIntervalMs: 500,
      logLevel: 'info',
      tellsFinished: true,
    });
    expect(read({ node: ' /usr/bin/node ' }).node).toBe('/usr/bin/node');
  });

  test('that are invalid become defaults or bounds', () => {
    expect(read({ node: 3, logLevel: 'loud', updateIntervalMs: 'x' })).toMatchObject({ node: '', logLevel: 'info', updateIntervalMs: 500 });
    expect(read({ updateIntervalMs: 1, 'daemon.idleMinutes': 1e9 })).toMatchObject({ updateIntervalMs: 100, idleMinutes: 10_000 });
  });

  test('a log level includes itself and the more severe ones', () => {
    expect((['debug', 'info', 'warning', 'error'] as const).filter(level => isLogged(level, 'warning'))).toEqual(['warning', 'error']);
  });
});

describe('the job store', () => {
  test('updates records from events', () => {
    const store = new JobStore();
    store.put(jobRecord());
    store.event({ seq: 1, jobId: 'one', event: { type: 'metrics', step: 1, values: { eval_loss: 2 } } });
    store.event({ seq: 2, jobId: 'one', event: { type: 'metrics', step: 2, values: { loss: 1 } } });
    store.event({ seq: 3, jobId: 'one', event: { type: 'progress', phase: 'train', done: 2, total: 4, unit: 'steps' } });
    expect(store.get('one')).toMatchObject({ metrics: { step: 2, values: { eval_loss: 2, loss: 1 } }, progress: { done: 2 } });
  });

  test('an event of a job that has ended, or that nobody knows, changes no record and is passed on', () => {
    const store = new JobStore();
    const heard: number[] = [];
    store.onEvent(({ seq }) => heard.push(seq));
    store.put(jobRecord({ state: 'stopped' }));
    store.event({ seq: 1, jobId: 'one', event: { type: 'phase', name: 'late', message: '' } });
    store.event({ seq: 2, jobId: 'other', event: { type: 'text', chunk: 'a' } });
    expect([store.get('one')?.phase, heard]).toEqual([undefined, [1, 2]]);
  });

  test('a new list replaces the old one, and is reported whole', () => {
    const store = new JobStore();
    store.put(jobRecord({ id: 'gone' }));
    const heard: string[] = [];
    const forget = store.onChanged(({ id }) => heard.push(id));
    store.replaceAll([jobRecord({ id: 'b', createdAt: '2026-01-02T00:00:00Z' }), jobRecord({ id: 'a' })]);
    expect(store.list().map(({ id }) => id)).toEqual(['a', 'b']);
    forget();
    store.put(jobRecord({ id: 'c' }));
    expect(heard).toEqual(['b', 'a']);
  });

  test('jobs that ran when the daemon ended have failed', () => {
    const store = new JobStore();
    store.put(jobRecord());
    store.daemonEnded('it is gone', '2026-01-01T01:00:00Z');
    expect(store.get('one')).toMatchObject({ state: 'failed', failure: { code: 'daemon-ended', message: 'it is gone' } });
    expect(store.active()).toEqual([]);
  });
});

describe('restarts', () => {
  test('are allowed a few times in a few minutes', () => {
    const policy = createRestartPolicy(2, 1000);
    expect([0, 10, 20, 30].map(time => policy.allows(time))).toEqual([true, true, false, false]);
    expect(policy.allows(2000)).toBe(true);
  });

  test('are allowed again after the user starts the daemon', () => {
    const policy = createRestartPolicy(1, 1000);
    policy.allows(0);
    policy.reset();
    expect([policy.allows(1), policy.allows(2)]).toEqual([true, false]);
  });
});

test('a throttled function runs at once, then once per interval, and never drops the last call', () => {
  vi.useFakeTimers();
  try {
    let count = 0;
    const { call, dispose } = throttle(
      () => void count++,
      () => 100,
    );
    for (let i = 0; i < 5; i++) call();
    expect(count).toBe(1);
    vi.advanceTimersByTime(100);
    expect(count).toBe(2);
    vi.advanceTimersByTime(1000);
    expect(count).toBe(2);
    call();
    call();
    dispose();
    vi.advanceTimersByTime(1000);
    expect(count).toBe(3);
  } finally {
    vi.useRealTimers();
  }
});

describe('the document of a page', () => {
  const page = (change: Partial<Parameters<typeof pageHtml>[0]> = {}): string =>
    pageHtml({ title: 'Run', scriptUri: 'https://x/run.js', cspSource: 'https://x', nonce: 'abc', state: { runDir: '/r' }, ...change });

  test('loads its own files and opens no socket', () => {
    const html = page({ styleUri: 'https://x/run.css' });
    const policy = /Content-Security-Policy" content="([^"]*)"/.exec(html)?.[1] ?? '';
    expect(policy).toContain('default-src &#39;none&#39;');
    expect(policy).toContain('script-src &#39;nonce-abc&#39;');
    expect(policy).not.toMatch(/connect-src|unsafe|\*/);
    expect([...html.matchAll(/<script nonce="abc"/g)]).toHaveLength(2);
    expect([...html.matchAll(/<script/g)]).toHaveLength(2);
  });

  test('a state or title cannot end its element', () => {
    const html = page({ title: '</title><b>', state: { runDir: '</script><script>alert(1)</script>' } });
    expect(html).not.toContain('<script>alert');
    expect(html).not.toContain('<b>');
  });

  interface Kept {
    host: unknown;
    view: unknown;
  }

  /** Runs the first script of a page as a browser would. */
  function open(html: string, before?: Kept) {
    const script = /<script nonce="abc">([\s\S]*?)<\/script>/.exec(html)?.[1] ?? '';
    let kept = before;
    const api = {
      getState: () => kept,
      setState: (state: Kept) => {
        kept = state;
      },
      postMessage: () => undefined,
    };
    let hear = (_: unknown): void => undefined;
    const scope: { acquireVsCodeApi: () => { getState(): unknown; setState(state: unknown): unknown } } = { acquireVsCodeApi: () => api };
    new Function('globalThis', 'acquireVsCodeApi', 'addEventListener', script)(
      scope,
      () => api,
      (_: string, listener: typeof hear) => {
        hear = listener;
      },
    );
    return {
      page: scope.acquireVsCodeApi(),
      say: (data: unknown) => hear({ data, stopImmediatePropagation: () => undefined }),
      kept: () => kept,
    };
  }

  test('keeps the state of the host apart from that of the page', () => {
    const opened = open(page());
    expect(opened.page.getState()).toBeUndefined();
    opened.page.setState({ zoom: 2 });
    expect(opened.kept()).toEqual({ host: { runDir: '/r' }, view: { zoom: 2 } });
    opened.say({ type: KEEP_STATE, state: { runDir: '/other' } });
    expect(opened.kept()).toEqual({ host: { runDir: '/other' }, view: { zoom: 2 } });
    expect(restoredState(opened.kept())).toEqual({ runDir: '/other' });
    const again = open(page(), opened.kept());
    expect(again.page.getState()).toEqual({ zoom: 2 });
    expect(again.kept()?.host).toEqual({ runDir: '/other' });
  });

  test('a state that nobody can read is none', () => {
    for (const kept of [undefined, null, 3, {}, { host: 'x' }]) expect(restoredState(kept)).toEqual({});
  });
});

test('recipes are listed by use: the active one, then visible ones, then the rest by path', () => {
  const items = ['a', 'b', 'c', 'd'].map(name => ({ key: `file:///${name}`, description: name }));
  expect(inOrderOfUse(items, ['file:///c', 'file:///b', 'file:///c']).map(({ description }) => description)).toEqual(['c', 'b', 'a', 'd']);
});
