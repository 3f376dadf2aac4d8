/** Tests lines sent in the background: in order, again after a failure, and without delaying a run. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { LineSender, type LineTarget } from '../../../../trainer/run/trackers/line-sender.ts';
import { until } from '../../../support/machine/until.ts';

const times = { pauseMs: 0, retryMs: [0], silentMs: 60_000, endMs: 60_000 };

function setUp(fails: (call: string) => boolean = () => false, change: Partial<typeof times> = {}) {
  const calls: string[] = [];
  const call = async (name: string): Promise<void> => {
    calls.push(name);
    if (fails(name)) throw new Error(`${name} failed`);
  };
  const target: LineTarget = {
    open: () => call('open'),
    send: lines => call(`send ${lines.map(({ line, place }) => `${place}:${line.step}`).join(' ')}`),
    close: how => call(`close ${how}`),
  };
  return { calls, sender: new LineSender(() => target, [{ step: 1 }, { step: 2 }], { times: { ...times, ...change } }) };
}

test('the lines that a run has come first, and all have come at the end', async () => {
  const { calls, sender } = setUp();
  await sender.append({ step: 3 });
  await sender.end('finished');
  expect(calls).toEqual(['open', 'send 0:1 1:2 2:3', 'close finished']);
});

test('a failed call is tried again', async () => {
  let left = 1;
  const { calls, sender } = setUp(name => name === 'open' && left-- > 0);
  await sender.end('stopped');
  expect(calls).toEqual(['open', 'open', 'send 0:1 1:2', 'close stopped']);
});

test('a failure is thrown at the next line, and at the end', async () => {
  const { calls, sender } = setUp(name => name.startsWith('send'));
  await until(() => calls.length === 3, 'it has failed twice');
  await until(
    () =>
      sender.append({ step: 3 }).then(
        () => false,
        error => String(error).includes('failed'),
      ),
    'it is thrown',
  );
  await expect(sender.end('finished')).rejects.toThrow('send 0:1 1:2 failed');
  expect(calls).toHaveLength(3);
});

test('a pause between batches ends with the run', async () => {
  const { calls, sender } = setUp(undefined, { pauseMs: 2 ** 30 });
  await until(() => calls.length === 2, 'the first lines are sent');
  await sender.append({ step: 3 });
  await sender.end('finished');
  expect(calls.slice(2)).toEqual(['send 2:3', 'close finished']);
});

const never = (): Promise<never> => new Promise(() => undefined);
const silent: LineTarget = { open: never, send: never, close: never };

test('a server that does not answer holds up the end only for a time', async () => {
  const sender = new LineSender(() => silent, [{ step: 1 }], { times: { ...times, silentMs: 1 } });
  await expect(sender.end('finished')).rejects.toThrow('no answer for 0.001 s at the end of the run; 1 line did not arrive');
});

describe('at the end of a run', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }));
  afterEach(() => void vi.useRealTimers());

  /** A target whose calls end, and whose server answers, when the test says so. */
  function slow() {
    let answered = (): void => undefined;
    const sender = new LineSender(
      heard => {
        answered = heard;
        return silent;
      },
      [{ step: 1 }],
      { times: { ...times, silentMs: 15_000, endMs: 90_000 } },
    );
    const failure = sender.end('finished').then(
      () => 'none',
      error => String(error),
    );
    return { failure, answered: () => answered() };
  }

  test('each answer begins the time of silence anew', async () => {
    const { failure, answered } = slow();
    for (let i = 0; i < 5; i++) {
      vi.advanceTimersByTime(14_000);
      answered();
    }
    vi.advanceTimersByTime(15_000);
    expect(await failure).toContain('no answer for 15 s');
  });

  test('whatever it answers, there is a limit', async () => {
    const { failure, answered } = slow();
    for (let i = 0; i < 9; i++) {
      vi.advanceTimersByTime(10_000);
      answered();
    }
    expect(await failure).toContain('take more than 90 s; 1 line did not arrive');
  });
});

test('accepted lines count as signs too', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  const waiting: (() => void)[] = [];
  const wait = (): Promise<void> => new Promise(resolve => waiting.push(resolve));
  const lines = Array.from({ length: 1200 }, (_, step) => ({ step }));
  const target: LineTarget = { open: async () => undefined, send: wait, close: wait };
  const sender = new LineSender(() => target, lines, { times: { ...times, silentMs: 15_000, endMs: 90_000 } });
  const end = sender.end('finished');
  for (let call = 1; call <= 4; call++) {
    await until(() => waiting.length === call, `call ${call}`);
    vi.advanceTimersByTime(14_000);
    waiting[call - 1]?.();
  }
  await end;
  vi.useRealTimers();
});
