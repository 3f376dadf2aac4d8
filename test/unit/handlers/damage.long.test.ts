/** Tests damage in a run folder: it is found, named, and survived; and a resumed run depends only on its checkpoints. */
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Job } from '../../../trainer/job/job.ts';
import { elementAt } from '../../../trainer/narrow.ts';
import type { WorkerEvent } from '../../../trainer/protocol/messages/job-messages.ts';
import { listCheckpoints } from '../../../trainer/run/checkpoint/checkpoint-folders.ts';
import { openLastCheckpoint } from '../../../trainer/run/checkpoint/load-checkpoint.ts';
import { describeFailure } from '../../../trainer/run-error.ts';
import { readRecord } from '../../support/files/read-json.ts';
import { runInProcess, stopAfter } from '../../support/runs/run-in-process.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

const task = makeTinyTask();
afterAll(() => rmSync(task.folder, { recursive: true, force: true }));
const { context } = task;
const settings = ['engine=portable', 'max_steps=6', 'save_strategy=steps', 'save_steps=2', 'save_total_limit=3'];
const whole = join(task.folder, 'whole');
/** A run stopped after step 4, with checkpoints of steps 2 and 4. */
const stopped = join(task.folder, 'stopped');
const work = join(task.folder, 'work');

const restore = (): void => {
  rmSync(work, { recursive: true, force: true });
  cpSync(stopped, work, { recursive: true });
};
const resume = (overrides: string[] = []) => runInProcess({ kind: 'resume', runDir: work, overrides, context });
const saidIn = (events: readonly WorkerEvent[]): string => events.map(event => (event.type === 'log' ? event.message : '')).join('\n');
/** Returns every file of a checkpoint except the one with its duration. */
const finalBytes = (runDir: string): Buffer[] =>
  ['adapter_model.safetensors', 'optimizer.safetensors'].map(name => readFileSync(join(runDir, 'checkpoints', 'step-000006', name)));

beforeAll(async () => {
  const recipe = task.recipe(...settings);
  await runInProcess({ kind: 'train', recipe, runDir: whole, context });
  await runInProcess({ kind: 'train', recipe, runDir: stopped, context }, stopAfter(4));
});

/** Opens the newest undamaged checkpoint, and returns its step and the messages. */
async function open(): Promise<{ step: number | undefined; said: string }> {
  const events: WorkerEvent[] = [];
  const checkpoint = await openLastCheckpoint(work, new Job(event => events.push(event)));
  await checkpoint?.close();
  return { step: checkpoint?.state.step, said: saidIn(events) };
}

function flip(file: string, at: number): void {
  const bytes = readFileSync(file);
  bytes[at] = (bytes[at] as number) ^ (1 << (at % 8));
  writeFileSync(file, bytes);
}

const FILES = ['adapter_model.safetensors', 'optimizer.safetensors', 'rowtune_adapter.json', 'trainer_state.json'];

describe('a damaged newest checkpoint', () => {
  test.each(FILES)('a flipped bit anywhere in %s is found, its file is named, and the one before is taken', async name => {
    const size = statSync(join(stopped, 'checkpoints', 'step-000004', name)).size;
    for (let i = 0; i <= 24; i++) {
      restore();
      flip(join(work, 'checkpoints', 'step-000004', name), Math.min(size - 1, Math.floor((size * i) / 24)));
      const { step, said } = await open();
      expect(step, `byte ${Math.floor((size * i) / 24)} of ${size}`).toBe(2);
      expect(said).toContain(name === 'rowtune_adapter.json' ? 'rowtune_adapter' : join('step-000004', name));
      expect(readdirSync(join(work, 'checkpoints')).sort()).toEqual(['damaged-step-000004', 'step-000002']);
    }
  });

  test.each(FILES)('%s cut short, empty, a folder, of another save, or gone', async name => {
    const file = join(work, 'checkpoints', 'step-000004', name);
    const damages: (() => void)[] = [
      () => truncateSync(file, statSync(file).size - 1),
      () => truncateSync(file, 0),
      () => rmSync(file),
      () => {
        rmSync(file);
        mkdirSync(file);
      },
    ];
    if (name.endsWith('.safetensors')) damages.push(() => cpSync(join(work, 'checkpoints', 'step-000002', name), file));
    for (const damage of damages) {
      restore();
      damage();
      expect((await open()).step).toBe(2);
    }
  });

  test('the tensor is named', async () => {
    restore();
    const file = join(work, 'checkpoints', 'step-000004', 'optimizer.safetensors');
    flip(file, statSync(file).size - 2);
    expect((await open()).said).toMatch(/tensor "[^"]+": does not match its checksum/);
  });

  test('the run continues from the one before, to the same bits', async () => {
    restore();
    flip(join(work, 'checkpoints', 'step-000004', 'optimizer.safetensors'), 4000);
    const { value, events } = await resume();
    expect(value).toMatchObject({ state: 'finished', steps: 6 });
    expect(saidIn(events)).toContain('the run continues from step-000002');
    expect(finalBytes(work)).toEqual(finalBytes(whole));
    expect((await listCheckpoints(work)).map(({ step }) => step)).toEqual([2, 4, 6]);
    expect(readdirSync(join(work, 'checkpoints')).filter(name => name.startsWith('damaged'))).toEqual([]);
  });

  test('if no checkpoint is intact, the resume fails and changes nothing', async () => {
    restore();
    for (const { folder } of await listCheckpoints(work)) flip(join(folder, 'adapter_model.safetensors'), 3000);
    const failure = await resume().catch(error => describeFailure(error).event);
    expect(failure).toMatchObject({ code: 'checkpoint-damaged', message: expect.stringMatching(/step-000004[\s\S]+step-000002/) });
    expect(readdirSync(join(work, 'checkpoints')).sort()).toEqual(['step-000002', 'step-000004']);
  });

  test('a checkpoint of an older version, without checksums, is read with a note', async () => {
    restore();
    const file = join(work, 'checkpoints', 'step-000004', 'trainer_state.json');
    const { crc32: _, files: __, ...old } = readRecord(file);
    writeFileSync(file, JSON.stringify(old, null, 2));
    const { step, said } = await open();
    expect(step).toBe(4);
    expect(said).toContain('without checksums');
  });
});

describe('what a resume computes stands in its checkpoint', () => {
  const others = ['metrics.jsonl', 'state.json', 'coverage.json', 'selection.json', 'memory.json', 'scores.safetensors', 'summary.json'];

  // All at the same time: none of them may matter.
  test.each(['gone', 'half', 'noise'] as const)('with every other file %s, the resumed run is the same', async damage => {
    restore();
    for (const file of others.map(name => join(work, name)).filter(existsSync)) {
      if (damage === 'gone') rmSync(file);
      else if (damage === 'half') truncateSync(file, Math.floor(statSync(file).size / 2));
      else writeFileSync(file, Buffer.from(Array.from({ length: 300 }, (_, i) => (i * 73) % 256)));
    }
    const { value, losses, events } = await resume();
    expect(value).toMatchObject({ state: 'finished', steps: 6 });
    expect([...losses.keys()]).toEqual([5, 6]);
    expect(finalBytes(work)).toEqual(finalBytes(whole));
    if (damage !== 'half') expect(saidIn(events)).toContain('metrics.jsonl has lost its earlier lines');
  });

  test('the date in a chat template is that of the start, even without state.json', async () => {
    restore();
    const file = join(work, 'checkpoints', 'step-000004', 'trainer_state.json');
    const { startedAt } = readRecord(file);
    rmSync(join(work, 'state.json'));
    await resume();
    expect(readRecord(join(work, 'state.json'))).toMatchObject({ startedAt });
  });
});

describe('data that changed underneath', () => {
  const train = join(task.folder, 'train.jsonl');
  const held = join(task.folder, 'heldout.jsonl');
  const failureOf = () =>
    resume().then(
      () => undefined,
      error => describeFailure(error).event,
    );

  test.each([
    ['a sample less', (lines: string[]) => lines.slice(1)],
    ['a sample more', (lines: string[]) => [...lines, elementAt(lines, 0)]],
    ['another order', (lines: string[]) => [...lines].reverse()],
    ['another word', (lines: string[]) => [elementAt(lines, 0).replace('lunch', 'lynch'), ...lines.slice(1)]],
    ['another label', (lines: string[]) => [elementAt(lines, 0).replace('ham', 'spam'), ...lines.slice(1)]],
  ])('%s is refused', async (_, change) => {
    restore();
    const text = readFileSync(train, 'utf8');
    try {
      writeFileSync(train, `${change(text.trimEnd().split('\n')).join('\n')}\n`);
      expect(await failureOf()).toMatchObject({ code: 'checkpoint-mismatch', message: expect.stringContaining('training data') });
    } finally {
      writeFileSync(train, text);
    }
  });

  test('the same samples in another notation are accepted, and changed held-out samples are reported', async () => {
    restore();
    const [text, heldText] = [readFileSync(train, 'utf8'), readFileSync(held, 'utf8')];
    try {
      writeFileSync(train, `\n${text.replaceAll('":', '" :')}`);
      writeFileSync(held, heldText.replace('lunch', 'lynch'));
      const { events } = await resume();
      expect(saidIn(events)).toContain('the held-out data has changed');
      expect(finalBytes(work)).toEqual(finalBytes(whole));
    } finally {
      writeFileSync(train, text);
      writeFileSync(held, heldText);
    }
  });
});

describe('checkpoints', () => {
  test('a finished run that has lost them is not trained again unasked', async () => {
    rmSync(work, { recursive: true, force: true });
    cpSync(whole, work, { recursive: true });
    rmSync(join(work, 'checkpoints'), { recursive: true });
    const before = readFileSync(join(work, 'metrics.jsonl'));
    const failure = await resume(['max_steps=8']).catch(error => describeFailure(error).event);
    expect(failure).toMatchObject({ code: 'checkpoint-missing' });
    expect(readFileSync(join(work, 'metrics.jsonl'))).toEqual(before);
  });

  test('a checkpoint that a killed process had moved aside is restored', async () => {
    restore();
    const newest = join(work, 'checkpoints', 'step-000004');
    // No process has this number, which is above Linux's maximum.
    renameSync(newest, join(work, 'checkpoints', '.step-000004.4999999-0a1b2c3d.tmp.old'));
    mkdirSync(join(work, 'checkpoints', '.step-000004.4999999-0a1b2c3d.tmp'));
    const { events } = await resume();
    expect(saidIn(events)).toContain('continuing from step 4');
    expect(readdirSync(join(work, 'checkpoints')).sort()).toEqual(['step-000002', 'step-000004', 'step-000006']);
  });

  test('a checkpoints folder that cannot be read is an error', async () => {
    restore();
    rmSync(join(work, 'checkpoints'), { recursive: true });
    writeFileSync(join(work, 'checkpoints'), 'a file');
    await expect(resume()).rejects.toThrow(/ENOTDIR/);
  });
});

describe('a run that is to replace another', () => {
  test('keeps the old run, ready to be resumed, if the new one is refused', async () => {
    restore();
    const contents = (): Map<string, string> =>
      new Map(
        readdirSync(work, { recursive: true, encoding: 'utf8' })
          .filter(name => statSync(join(work, name)).isFile())
          // The log mentions the attempt.
          .filter(name => name !== 'log.txt')
          .map(name => [
            name,
            createHash('sha256')
              .update(readFileSync(join(work, name)))
              .digest('hex'),
          ]),
      );
    const before = contents();
    const recipe = task.recipe(...settings, 'overwrite_output_dir=true', 'data.train=gone.jsonl');
    const failure = await runInProcess({ kind: 'train', recipe, runDir: work, context }).catch(error => describeFailure(error).event);
    expect(failure).toMatchObject({ type: 'failed', message: expect.stringContaining('gone.jsonl') });
    expect(contents()).toEqual(before);
    await resume();
    expect(finalBytes(work)).toEqual(finalBytes(whole));
  });
});
