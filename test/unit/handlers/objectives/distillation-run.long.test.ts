/**
 * Tests runs that learn from a teacher: its predictions, their cache and files, packing, accumulation, a resume bit for bit, and files that
 * do not fit.
 */
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { openSafetensors } from '../../../../trainer/format/safetensors/safetensors-source.ts';
import { writeSafetensors } from '../../../../trainer/format/safetensors/safetensors-writer.ts';
import { valueFor } from '../../../../trainer/narrow.ts';
import type { WorkerEvent } from '../../../../trainer/protocol/messages/job-messages.ts';
import { readMetrics } from '../../../../trainer/run/metrics-file.ts';
import { fileOf } from '../../../support/files/gguf-export.ts';
import { readRecord } from '../../../support/files/read-json.ts';
import { tinyDecoder } from '../../../support/models/tiny-decoder.ts';
import { measureOf } from '../../../support/runs/evaluated.ts';
import { runInProcess, trainRunsIn } from '../../../support/runs/run-in-process.ts';
import { expectSameWhenStopped } from '../../../support/runs/stopped-run.ts';
import { makeTinyTask } from '../../../support/runs/tiny-task.ts';

const task = makeTinyTask();
afterAll(() => rmSync(task.folder, { recursive: true, force: true }));
const context = { ...task.context, cacheDir: join(task.folder, 'cache') };

/** Rows of the teacher's embedding that belong to no token. */
const PADDED = 12;

/** Creates another model with the student's tokenizer, and more rows than that has tokens. */
async function makeTeacher(name: string): Promise<void> {
  const folder = join(task.folder, name);
  cpSync(join(task.folder, 'model'), folder, { recursive: true });
  const config = readRecord(join(folder, 'config.json'));
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...config, vocab_size: Number(config.vocab_size) + PADDED }));
  const source = await openSafetensors(join(task.folder, 'model', 'model.safetensors'));
  const entries = [...source.tensors.values()].map(({ name: tensor, shape }) => {
    const [rows = 1, ...others] = shape;
    const isEmbedding = rows === config.vocab_size;
    const wanted = isEmbedding ? [rows + PADDED, ...others] : shape;
    return {
      ...{ name: tensor, dtype: 'F32' as const, shape: wanted },
      async data() {
        const values = (await source.readFloat32(tensor)).map((value, i) => value * (1 + 1.5 * Math.sin(i)));
        // Rows without a token would be likely, if they were used.
        const padded = new Float32Array(wanted.reduce((a, b) => a * b, 1)).fill(1);
        padded.set(values);
        return new Uint8Array(padded.buffer);
      },
    };
  });
  await writeSafetensors(join(folder, 'model.safetensors'), entries);
  await source.close();
}
await makeTeacher('teacher');
writeFileSync(
  join(task.folder, 'texts.jsonl'),
  Array.from({ length: 20 }, (_, i) => `${JSON.stringify({ prompt: `Q${i}: `, completion: 'ab'.repeat(2 + (i % 7)) })}\n`).join(''),
);
const recipe = (...overrides: string[]) =>
  task.recipe(
    'engine=portable',
    'task=distillation',
    'data.train=texts.jsonl',
    'data.eval=[]',
    'val_size=0.25',
    'distillation.top_k=8',
    ...overrides,
  );
const train = trainRunsIn(task.folder, context, recipe);
const TEACHER = 'distillation.teacher=teacher';
const phases = (events: readonly WorkerEvent[]) => events.flatMap(event => (event.type === 'phase' ? [event.name] : []));

test('a model that is its own teacher has no divergence from it, at any temperature', async () => {
  for (const temperature of [1, 2.5]) {
    const settings = [
      'distillation.teacher=model',
      `distillation.temperature=${temperature}`,
      'max_steps=1',
      'eval_strategy=steps',
      'eval_steps=1',
    ];
    const { value, events } = await train(`own ${temperature}`, settings);
    expect(Math.abs(measureOf(value.before, 'teacher_divergence'))).toBeLessThan(1e-5);
    expect(events).toContainEqual(
      expect.objectContaining({ level: 'warning', message: expect.stringMatching(/weights of the model itself/) }),
    );
  }
});

test('a run moves toward its teacher, whose predictions are computed once and can be read from files elsewhere', async () => {
  const settings = ['num_train_epochs=6', 'learning_rate=0.01', 'distillation.alpha=1', 'gradient_accumulation_steps=2'];
  const { value, losses, events } = await train('first', [TEACHER, ...settings]);
  expect(phases(events)).toContain('teacher');
  const [before, after] = [measureOf(value.before, 'teacher_divergence'), measureOf(value.after, 'teacher_divergence')];
  expect(after).toBeLessThan(0.8 * before);
  const lines = await readMetrics(join(task.folder, 'first'));
  expect(lines.at(-1)).toMatchObject({ eval_teacher_divergence: after, eval_loss: value.after?.loss });
  expect(lines.some(({ teacher_divergence: own, nll }) => own !== undefined && nll !== undefined)).toBe(true);
  const again = await train('again', [TEACHER, ...settings]);
  expect(phases(again.events)).not.toContain('teacher');
  expect(again.losses).toEqual(losses);
  const fromFiles = await train('from files', [
    'distillation.logits=first/teacher.train.safetensors',
    'distillation.eval_logits=first/teacher.held.safetensors',
    ...settings,
  ]);
  expect(fromFiles.losses).toEqual(losses);
  expect(fromFiles.value.after?.measures).toEqual(value.after?.measures);
  const adapter = join(task.folder, 'first');
  const { value: evaluated } = await runInProcess({ kind: 'evaluate', recipe: recipe(TEACHER), adapter, context });
  expect(evaluated.measures?.teacher_divergence).toBeCloseTo(after, 5);
});

test('a tuned model teaches the same from a GGUF file as from a folder', async () => {
  const student = await tinyDecoder({ like: 'llama' });
  await train('tuned', [`model=${student}`, 'task=causal_lm', 'distillation={}', 'max_steps=4', 'learning_rate=0.05']);
  const exported = async (format: 'merged' | 'gguf') => {
    const outputDir = join(task.folder, `tuned ${format}`);
    const type = format === 'gguf' ? 'F32' : undefined;
    const request = { kind: 'export', adapter: join(task.folder, 'tuned'), format, type, outputDir, overwrite: false, context } as const;
    return (await runInProcess(request)).value;
  };
  const run = (name: string, teacher: string) =>
    train(name, [`model=${student}`, `distillation.teacher=${teacher}`, 'max_steps=2', 'distillation.alpha=1']);
  const fromFolder = await run('from a folder', (await exported('merged')).outputDir);
  const fromGguf = await run('from GGUF', fileOf(await exported('gguf')));
  expect(phases(fromGguf.events)).toContain('teacher');
  expect(fromGguf.value.before?.measures?.teacher_divergence).toBeGreaterThan(0.01);
  expect(fromGguf.losses).toEqual(fromFolder.losses);
  expect(fromGguf.value.after?.measures).toEqual(fromFolder.value.after?.measures);
});

test('packed rows and accumulated batches give the same losses', async () => {
  const settings = [TEACHER, 'max_steps=1', 'data.shuffle=false', 'group_by_length=false', 'max_grad_norm=0', 'eval_strategy=epoch'];
  const whole = await train('whole batch', [...settings, 'per_device_train_batch_size=15']);
  const parts = await train('parts', [...settings, 'per_device_train_batch_size=5', 'gradient_accumulation_steps=3']);
  const packed = await train('packed', [...settings, 'packing=true', 'per_device_train_batch_size=15']);
  for (const other of [parts, packed]) {
    expect(other.losses.get(1)).toBeCloseTo(valueFor(whole.losses, 1), 5);
    for (const at of ['before', 'after'] as const)
      expect(other.value[at]?.measures?.teacher_divergence).toBeCloseTo(measureOf(whole.value[at], 'teacher_divergence'), 5);
  }
});

test.each([
  ['spsft', ['gradient_accumulation_steps=2', 'logging_steps=4']],
  ['lora', ['method=lora', 'r=4', 'lora_dropout=0.2', 'distillation.beta=0.5', 'distillation.temperature=2']],
] as const)('a resumed run (%s) has the losses of one that was not stopped, also without the cache', async (name, settings) => {
  const all = [TEACHER, 'max_steps=7', 'save_strategy="no"', ...settings];
  const beforeResume = () => rmSync(join(context.cacheDir, 'teacher'), { recursive: true });
  const { rest } = await expectSameWhenStopped({ folder: task.folder, context, train, name, settings: all, step: 4, beforeResume });
  expect(phases(rest.events)).not.toContain('teacher');
});

test('rows are scored by the loss with the teacher', async () => {
  const outputFile = join(task.folder, 'scores.safetensors');
  const scored = recipe(TEACHER, 'importance.measure=taylor', 'importance.samples=8');
  const { value } = await runInProcess({ kind: 'importance', recipe: scored, outputFile, context });
  expect(value.samples).toBe(8);
  expect(readFileSync(outputFile).length).toBeGreaterThan(0);
});

test('held-out samples without a file are evaluated without the teacher', async () => {
  const { value } = await train('half', ['distillation.logits=first/teacher.train.safetensors', 'max_steps=1']);
  expect(value.after?.loss).toBeGreaterThan(0);
  expect(value.after?.measures).toBeUndefined();
});

interface Tensors {
  ids: Int32Array;
  logs: Float32Array;
  targets: Int32Array;
}

/** Writes a changed copy of a file. */
async function changed(name: string, change: (tensors: Tensors) => void, metadata: Record<string, string> = {}): Promise<string> {
  const source = await openSafetensors(join(task.folder, 'first', 'teacher.train.safetensors'));
  const raw = async (tensor: string) => (await source.readRaw(tensor)).slice().buffer;
  const tensors = {
    ids: new Int32Array(await raw('token_ids')),
    logs: new Float32Array(await raw('log_probabilities')),
    targets: new Int32Array(await raw('targets')),
  };
  await source.close();
  change(tensors);
  const positions = tensors.targets.length;
  const k = tensors.ids.length / positions;
  const bytes = ({ buffer }: Int32Array | Float32Array) => new Uint8Array(buffer);
  const entries = [
    { name: 'token_ids', dtype: 'I32', shape: [positions, k], data: () => bytes(tensors.ids) },
    { name: 'log_probabilities', dtype: 'F32', shape: [positions, k], data: () => bytes(tensors.logs) },
    { name: 'targets', dtype: 'I32', shape: [positions], data: () => bytes(tensors.targets) },
  ] as const;
  await writeSafetensors(join(task.folder, name), entries, metadata);
  return `distillation.logits=${name}`;
}

test.each<[string, (tensors: Tensors) => void, RegExp, Record<string, string>?]>([
  [
    'a token outside of the vocabulary',
    ({ ids }) => ids.set([500], 8),
    /position 1 \(token \d+ of sample 0, .*texts.jsonl:\d+\) has token 500, expected 0 to 127/,
  ],
  ['a token twice', ({ ids }) => ids.copyWithin(17, 16, 17), /position 2 .* has token \d+ twice/],
  ['no number', ({ logs }) => logs.set([Number.NaN], 3), /position 0 .* has the log-probability NaN/],
  [
    'logits in place of log-probabilities',
    ({ logs }) => logs.set([4], 0),
    /log-probability 4 for token \d+, expected a number of at most 0/,
  ],
  ['probabilities above 1', ({ logs }) => logs.fill(-0.1), /add up to 7\.\d+, expected at most 1/],
  ['another target', ({ targets }) => targets.set([1], 2), /position 2 .* is for the target 1, but the data has \d+ there/],
  [
    'fewer positions',
    tensors => void Object.assign(tensors, { ids: tensors.ids.slice(8), logs: tensors.logs.slice(8), targets: tensors.targets.slice(1) }),
    /has \d+ positions, but the 15 training samples have \d+ trained tokens/,
  ],
  ['another temperature', () => undefined, /at temperature 2, but distillation.temperature is 1/, { temperature: '2' }],
])('a file with %s is refused with its place', async (name, change, message, metadata) => {
  const file = `${name.replaceAll(' ', '-')}.safetensors`;
  const setting = await changed(file, change, metadata);
  const failure = train(name, [setting, 'max_steps=1']);
  await expect(failure).rejects.toThrow(message);
  await expect(failure).rejects.toThrow(file);
});

test('a file with fewer tokens than top_k, and a file of other tensors', async () => {
  const logits = 'distillation.logits=first/teacher.train.safetensors';
  await expect(train('few', [logits, 'distillation.top_k=9', 'max_steps=1'])).rejects.toThrow(
    /has 8 tokens of each position, fewer than distillation.top_k \(9\)/,
  );
  await expect(train('other', ['distillation.logits=model/model.safetensors', 'max_steps=1'])).rejects.toThrow(/has no tensor 'token_ids'/);
  const { value } = await train('less', [logits, 'distillation.top_k=3', 'max_steps=1']);
  expect(value.steps).toBe(1);
});

test('a teacher of another vocabulary is refused by the first token that differs', async () => {
  await makeTeacher('stranger');
  const file = join(task.folder, 'stranger', 'tokenizer.json');
  writeFileSync(file, readFileSync(file, 'utf8').replace(/"a":/, '"ä":'));
  await expect(train('stranger run', ['distillation.teacher=stranger', 'max_steps=1'])).rejects.toThrow(
    /the teacher .*stranger has a different vocabulary from .*model: token \d+ is "a" in the model and "ä" in the teacher \(1 of \d+ differ\)/,
  );
  expect(existsSync(join(task.folder, 'stranger run', 'checkpoints'))).toBe(false);
});
