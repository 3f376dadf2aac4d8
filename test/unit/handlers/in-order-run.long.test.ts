/**
 * Tests runs over large data that start before all samples are tokenized: the losses equal those of runs that tokenize up front, stopped
 * and resumed anywhere.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { WorkerEvent } from '../../../trainer/protocol/messages/job-messages.ts';
import { makeTemporaryFolder } from '../../support/machine/temporary-folder.ts';
import { byteLevelTokenizer } from '../../support/models/byte-tokenizer.ts';
import { rejectionOf } from '../../support/rejection-of.ts';
import { IN_ORDER, LARGE_TEMPLATE, largeData, makeLargeTask } from '../../support/runs/large-task.ts';
import { runInProcess, stopAfter } from '../../support/runs/run-in-process.ts';

const task = makeLargeTask();
const { setTemplate } = task;
const context = { ...task.context, cacheDir: makeTemporaryFolder() };
afterAll(() => rmSync(task.folder, { recursive: true, force: true }));

const SETTINGS = ['engine=portable', ...IN_ORDER, 'max_steps=6', 'logging_steps=1', 'save_strategy="no"'];
const train = (name: string, changes: readonly string[] = [], onEvent?: ReturnType<typeof stopAfter>) =>
  runInProcess({ kind: 'train', recipe: task.recipe(...SETTINGS, ...changes), runDir: join(task.folder, name), context }, onEvent);
const resume = (name: string, onEvent?: ReturnType<typeof stopAfter>) =>
  runInProcess({ kind: 'resume', runDir: join(task.folder, name), overrides: [], context }, onEvent);
const logOf = (events: readonly WorkerEvent[]): string => events.flatMap(event => (event.type === 'log' ? event.message : [])).join('\n');
const valuesOf = (events: readonly WorkerEvent[], key: string) =>
  events.flatMap(event => (event.type === 'metrics' && event.values[key] !== undefined ? [[event.step, event.values[key]]] : []));

describe('a run over large data', () => {
  it.each([
    ['in its order', 'group_by_length=false'],
    ['in batches of similar length', 'group_by_length=true'],
  ])(
    'begins before all samples are tokenized, and has the losses of one whose tokens are cached, in parts too: %s',
    async (order, setting) => {
      const whole = await train(`whole ${order}`, [setting]);
      expect(logOf(whole.events)).toContain('Samples are tokenized when training needs them.');
      expect(whole.losses.size).toBe(6);
      const first = await train(`parts ${order}`, [setting], stopAfter(2));
      const second = await resume(`parts ${order}`, stopAfter(4));
      // Another run leaves all tokens in the cache, which the last part then uses.
      const packed = await train(`packed ${order}`, ['packing=true', 'max_steps=1']);
      expect(logOf(packed.events)).toContain(
        'All samples are tokenized before the first update: packing puts samples into rows by their lengths',
      );
      const third = await resume(`parts ${order}`);
      expect(logOf(third.events)).toContain('come from the cache');
      expect([...first.losses, ...second.losses, ...third.losses]).toEqual([...whole.losses]);
      const cached = await train(`cached ${order}`, [setting]);
      expect(logOf(cached.events)).toContain('come from the cache');
      expect([...cached.losses]).toEqual([...whole.losses]);
      rmSync(join(context.cacheDir, 'tokens'), { recursive: true });
    },
  );

  const labels = ['yes', 'no', 'maybe'];
  const held = ['val_size=20', 'eval_strategy=steps', 'eval_steps=3'];
  it.each([
    [
      'of chats',
      (i: number) => ({
        messages: [
          { role: 'user', content: `Is ${i} even?` },
          { role: 'assistant', content: i % 2 === 0 ? 'Yes.' : 'No, it is odd.' },
        ],
      }),
      ['data.format=messages', ...held],
    ],
    [
      'with labels',
      (i: number) => ({ text: `${i} it is`, label: labels[i % 3] }),
      ['data.format=text_label', 'data.prompt="{text}?"', ...held],
    ],
    ['of which some are drawn', () => ({}), ['data.max_samples=300', ...held]],
  ] as const)('is the same over data %s', async (name, change, changes) => {
    const file = join(task.folder, 'train.jsonl');
    writeFileSync(file, largeData(change));
    const whole = await train(`whole ${name}`, changes);
    expect(logOf(whole.events)).toContain('Samples are tokenized when training needs them.');
    expect(whole.losses.size).toBe(6);
    const first = await train(`parts ${name}`, changes, stopAfter(4));
    const second = await resume(`parts ${name}`);
    expect([...first.losses, ...second.losses]).toEqual([...whole.losses]);
    // An evaluation of held-out data leaves all tokens in the cache.
    await runInProcess({ kind: 'evaluate', recipe: task.recipe(...IN_ORDER, 'engine=portable', ...changes), context });
    const cached = await train(`cached ${name}`, changes);
    expect(logOf(cached.events)).toContain('come from the cache');
    expect([...cached.losses]).toEqual([...whole.losses]);
    expect(valuesOf(cached.events, 'eval_loss')).toEqual(valuesOf(whole.events, 'eval_loss'));
    rmSync(join(context.cacheDir, 'tokens'), { recursive: true });
    writeFileSync(file, largeData());
  });

  it('holds out and evaluates the same samples', async () => {
    const changes = ['val_size=20', 'eval_strategy=steps', 'eval_steps=3', 'max_steps=3', 'data.shuffle=false', 'group_by_length=false'];
    const lazy = await train('held', changes);
    await train('tokenizes', ['packing=true', 'max_steps=1']);
    const cached = await train('held cached', changes);
    expect(logOf(cached.events)).toContain('come from the cache');
    expect(valuesOf(lazy.events, 'eval_loss')).toHaveLength(2);
    expect(valuesOf(cached.events, 'eval_loss')).toEqual(valuesOf(lazy.events, 'eval_loss'));
    expect([...cached.losses]).toEqual([...lazy.losses]);
    rmSync(join(context.cacheDir, 'tokens'), { recursive: true });
  });

  it('is not resumed with other data, and not where samples are tokenized first', async () => {
    await train('changed', [], stopAfter(2));
    const before = readFileSync(join(task.folder, 'train.jsonl'), 'utf8');
    writeFileSync(join(task.folder, 'train.jsonl'), before.replace('It is', 'It was'));
    expect((await rejectionOf(resume('changed'), Error)).message).toContain('the training data is not what the run began with');
    writeFileSync(join(task.folder, 'train.jsonl'), before);
    const file = join(task.folder, 'model', 'tokenizer.json');
    const tokenizer = readFileSync(file);
    writeFileSync(file, byteLevelTokenizer({ merges: [], normalizer: { type: 'Lowercase' } }));
    expect((await rejectionOf(resume('changed'), Error)).message).toContain('the run began before all samples were tokenized');
    writeFileSync(file, tokenizer);
    expect((await resume('changed')).losses.size).toBe(4);
  });

  it('keeps its updates where a sample cannot be rendered, and continues when that is fixed', async () => {
    setTemplate(`{% if 'boo' in messages[0].content %}{{ raise_exception('no ghosts') }}{% endif %}${LARGE_TEMPLATE}`);
    const file = join(task.folder, 'train.jsonl');
    const changes = ['data.shuffle=false', 'per_device_train_batch_size=64', 'max_steps=18'];
    const whole = await train('without ghosts', changes);
    // The shapes follow from the 1,024 samples of the first 16 batches.
    writeFileSync(
      file,
      largeData(i => (i === 1100 ? { instruction: 'boo' } : {})),
    );
    const events: WorkerEvent[] = [];
    const found = await rejectionOf(
      train('ghost', changes, event => void events.push(event)),
      Error,
    );
    expect(found.message).toMatch(/train\.jsonl:1101: .*no ghosts/s);
    expect(logOf(events)).toContain('update 17 is saved: fix the data, then continue with rowtune resume');
    expect((await rejectionOf(resume('ghost'), Error)).message).toContain('train.jsonl:1101');
    writeFileSync(file, largeData());
    const fixed = await resume('ghost');
    expect(logOf(fixed.events)).toContain('has changed since the run stopped at a sample that could not be used');
    expect([...fixed.losses]).toEqual([...whole.losses].slice(17));
  });
});
