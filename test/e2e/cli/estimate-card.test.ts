/**
 * Tests `rowtune estimate --card`: the memory of a run on a card that is not present, by the model of buffers, and the errors for unknown
 * cards.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { cardBytes, usableCardBytes } from '../../../trainer/catalog/cards.ts';
import { cli, cliJson, golden } from './run-cli.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'rowtune-card-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
writeFileSync(
  path.join(folder, 'a.rowtune.yaml'),
  `model: ${path.join(golden, 'llama')}\ndata: {train: [train.jsonl]}\nr: 2\nmax_length: 32\nper_device_train_batch_size: 4\n`,
);
/** A cache without a compiler for cards. */
const options = { cwd: folder, env: { ROWTUNE_CACHE: path.join(folder, 'cache') } };

const estimateForm = z.object({
  weightsBytes: z.number(),
  trainedBytes: z.number(),
  gradientBytes: z.number(),
  optimizerBytes: z.number(),
  activationBytes: z.number(),
  engineOverheadBytes: z.number(),
  totalBytes: z.number(),
  /** Settings that fit the card. */
  options: z.array(z.object({ precision: z.string(), totalBytes: z.number(), overrides: z.array(z.string()) })),
});

describe('with a teacher', () => {
  const taught = ['task=distillation', `distillation.teacher=${path.join(golden, 'llama')}`];

  test("--card counts the memory of the teacher's pass", async () => {
    const { status, value } = await cliJson(['estimate', 'a.rowtune.yaml', '--card', 'RTX 4090', ...taught], options);
    expect(status).toBe(0);
    expect(value).toMatchObject({ ok: true, fits: true });
    expect(value.teacherBytes).toBeGreaterThan(0);
  });

  test("--plan reports that the teacher's pass alone takes more than the limit", async () => {
    const plan = (memory: string) => cliJson(['estimate', 'a.rowtune.yaml', '--plan', '--memory', memory, ...taught], options);
    const { value } = await plan('8GB');
    const { least } = z.object({ least: z.object({ teacherBytes: z.number() }) }).parse(value);
    expect(least.teacherBytes).toBeGreaterThan(0);
    const small = await plan(String(least.teacherBytes - 1));
    expect(small.status).toBe(1);
    expect(small.stderr).toContain("the teacher's pass alone takes");
  });
});

describe('estimate --card', () => {
  test('gives the memory on the card alone, and settings that fit it in every precision', async () => {
    const { status, stderr, value } = await cliJson(['estimate', 'a.rowtune.yaml', '--card', 'RTX 4090'], options);
    expect(status).toBe(0);
    expect(stderr).toContain("estimated by a model of the compiler's buffers; for the card's own compiler");
    const usableBytes = usableCardBytes('rtx-4090');
    expect(value).toMatchObject({
      ok: true,
      source: 'model',
      fits: true,
      card: { name: 'rtx-4090', bytes: cardBytes('rtx-4090'), usableBytes },
    });
    // No worker and no engine code: a model of 78 thousand parameters takes a few megabytes.
    const found = estimateForm.parse(value);
    const held = found.weightsBytes + found.trainedBytes + found.gradientBytes + found.optimizerBytes;
    expect(found.totalBytes).toBe(held + found.activationBytes + found.engineOverheadBytes);
    expect(found.totalBytes).toBeLessThan(10e6);
    expect(new Set(found.options.map(({ precision }) => precision)).size).toBe(3);
    for (const { totalBytes } of found.options) expect(totalBytes).toBeLessThanOrEqual(usableBytes);
    for (const { precision, overrides } of found.options) expect(overrides.includes('quantize=nf4')).toBe(precision.startsWith('nf4'));
  });

  test.each([
    ['devices', 'Each device', 'the sums of gradients within its step', 8],
    ['processes', 'Each process', 'the gradients that wait for their sum in the memory of the host', 4],
  ])('says what it assumes with %s: 2, and counts the exchange of gradients on each card', async (setting, each, what, bytesOfNumber) => {
    const args = ['estimate', 'a.rowtune.yaml', '--card', 'RTX 4090', 'engine=pjrt', 'method=full'];
    const { status, stdout } = await cli([...args, `${setting}=2`], options);
    expect(status).toBe(0);
    expect(stdout).toContain(`${setting}: 2. ${each} is assumed to have a card of its own`);
    expect(stdout).toContain('the activations of 4 rows');
    expect(stdout).toContain(what);
    expect(stdout).toContain('total on each card');
    const form = z.object({ totalBytes: z.number(), runBytes: z.number(), trainable: z.number(), exchangeBytes: z.number().optional() });
    const [one, two] = [await cliJson(args, options), await cliJson([...args, `${setting}=2`], options)].map(({ value }) =>
      form.parse(value),
    );
    expect(one?.exchangeBytes).toBeUndefined();
    expect(two?.exchangeBytes).toBe(bytesOfNumber * (one?.trainable ?? 0));
    expect(two?.runBytes).toBe(two?.totalBytes);
    expect(two?.totalBytes).toBeGreaterThanOrEqual(one?.totalBytes ?? Number.POSITIVE_INFINITY);
  });

  test('reports whether attention is counted in chunks or as one kernel', async () => {
    const args = ['estimate', 'a.rowtune.yaml', '--card', 'RTX 4090', 'max_length=64', 'recompute=none'];
    const narrow = [...args, 'dtype=bfloat16'];
    expect((await cli(args, options)).stdout).not.toContain('Attention counts');
    expect((await cli([...narrow, 'attention=chunked'], options)).stdout).not.toContain('Attention counts');
    expect((await cli(narrow, options)).stdout).toContain('Attention counts in chunks.');
    const fused = await cli([...narrow, 'attention=fused'], options);
    expect(fused.stdout).toContain("Attention counts as one kernel of cuDNN, without the kernel's workspace.");
    const bytesOf = async (attention: string) =>
      estimateForm.parse((await cliJson([...narrow, `attention=${attention}`], options)).value).activationBytes;
    const chunked = await bytesOf('chunked');
    expect(await bytesOf('auto')).toBe(chunked);
    expect(await bytesOf('fused')).toBeLessThan(chunked);
  });

  test('suggests the nearest card for an unknown name', async () => {
    const { status, stderr } = await cli(['estimate', 'a.rowtune.yaml', '--card', 'RTX 4091'], options);
    expect(status).toBe(2);
    expect(stderr).toContain("no card named 'RTX 4091' is known. Did you mean 'RTX 4090'?");
  });
});

describe('estimate --card "TPU v5e"', () => {
  const estimate = (...more: string[]) => cliJson(['estimate', 'a.rowtune.yaml', '--card', 'TPU v5e', ...more], options);

  test('says that only the compiler knows the memory of a TPU, and how to get it', async () => {
    const { status, value } = await estimate();
    expect(status).toBe(1);
    expect(value).toMatchObject({
      ok: false,
      error: {
        code: 'no-compiler',
        message: expect.stringContaining('only known to its compiler'),
        hint: expect.stringContaining('rowtune engine install --variant tpu --compile-only'),
      },
    });
  });

  test('is refused without the compiler', async () => {
    const { status, stderr } = await cli(['estimate', 'a.rowtune.yaml', '--card', 'v5e', '--no-compile'], options);
    expect(status).toBe(2);
    expect(stderr).toContain('Leave out --no-compile');
  });

  test('an unknown name lists the TPUs, too', async () => {
    const { stderr } = await cli(['estimate', 'a.rowtune.yaml', '--card', 'TPU v99'], options);
    expect(stderr).toContain('Known TPUs: TPU v4, TPU v5e, TPU v5p or TPU v6e');
  });
});
