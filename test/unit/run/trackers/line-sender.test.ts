/** Lines that are sent in the background: in order, again after a failure, and never in the way of a run. */
import { expect, test } from 'vitest';
import { LineSender, type LineTarget } from '../../../../trainer/run/trackers/line-sender.ts';
import { until } from '../../../support/until.ts';

const times = { pauseMs: 0, retryMs: [0], endMs: 60_000 };

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
  return { calls, sender: new LineSender(target, [{ step: 1 }, { step: 2 }], { times: { ...times, ...change } }) };
}

test('the lines that a run has come first, and all have come at the end', async () => {
  const { calls, sender } = setUp();
  await sender.append({ step: 3 });
  await sender.end('finished');
  expect(calls).toEqual(['open', 'send 0:1 1:2 2:3', 'close finished']);
});

test('what fails is tried again', async () => {
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

test('a server that does not answer holds up the end only for a time', async () => {
  const target: LineTarget = { open: () => new Promise(() => undefined), send: async () => undefined, close: async () => undefined };
  const sender = new LineSender(target, [], { times: { ...times, endMs: 1 } });
  await expect(sender.end('finished')).rejects.toThrow('not taken within 0.001 s');
});
