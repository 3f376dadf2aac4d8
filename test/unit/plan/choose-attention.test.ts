/**
 * Tests that attention as one kernel is used only after the device has passed a comparison; the CPU plugin is a device without such a
 * kernel.
 */
import { beforeEach, expect, test } from 'vitest';
import type { Engine } from '../../../trainer/engine/engine.ts';
import { Job } from '../../../trainer/job/job.ts';
import { type Attend, attentionForms } from '../../../trainer/plan/choices/check-attention.ts';
import { chooseAttention } from '../../../trainer/plan/choices/choose-attention.ts';
import { headersOf } from '../../../trainer/plan/config-headers.ts';
import { type PlanFacts, planRun } from '../../../trainer/plan/run-plan.ts';
import { describeWith } from '../../support/describe-with.ts';
import { configOf } from '../../support/golden/card-steps.ts';
import { cpuPlugin, noCpuPlugin, plainAttention } from '../../support/numbers/plain-attention.ts';
import { recipeIn } from '../../support/runs/recipe-of.ts';

const logged: string[] = [];
const job = new Job(event => {
  if (event.type === 'log') logged.push(event.message);
});
beforeEach(() => void logged.splice(0));

function factsOf(more: string, folder = 'mistral_window'): PlanFacts {
  const config = configOf(folder);
  const recipe = recipeIn(`model: base\ndata: {train: [train.jsonl]}\nr: 2\nmax_length: 16\n${more}`);
  return { recipe, headers: headersOf(config), on: { engine: 'pjrt', device: 'gpu' } };
}

const choose = (more: string, engine: Engine, attend?: Attend): Promise<boolean> => {
  const facts = factsOf(more);
  return chooseAttention({ recipe: facts.recipe, job, facts, ...(attend && { attend }) }, engine);
};

test('a plan has one kernel only where it is asked for, or the device has passed', () => {
  const formsOf = (more: string, facts: Partial<PlanFacts> = {}) =>
    attentionForms(planRun({ ...factsOf(more), ...facts }).program('cheap'));
  const found = { compute: 'bfloat16', headDim: 8, group: 2, tokens: 16, causal: true, window: 5, isPadded: false };
  expect(formsOf('dtype: bfloat16\n')).toEqual([]);
  expect(formsOf('dtype: bfloat16\nattention: fused\n')).toMatchObject([found]);
  expect(formsOf('dtype: bfloat16\n', { fusesAttention: true })).toMatchObject([found]);
  expect(formsOf('dtype: bfloat16\nattention: fused\n', { fusesAttention: false })).toEqual([]);
});

describeWith('on the CPU plugin', cpuPlugin, noCpuPlugin, engine => {
  /** A device that claims to have a kernel. */
  const claiming: Engine = { ...engine, description: { ...engine.description, fusedAttention: true } };

  test('a device without a kernel uses chunks, without a message', async () => {
    expect(await choose('dtype: bfloat16\n', engine)).toBe(false);
    expect(logged).toEqual([]);
  });

  test('asked for, a kernel that the device does not have ends the run', async () => {
    await expect(choose('dtype: bfloat16\nattention: fused\n', engine)).rejects.toThrow(
      /^attention: fused is not possible: PJRT .* has no kernel for it$/,
    );
  });

  test('a kernel that fails the comparison is left out, with the reason', async () => {
    expect(await choose('dtype: bfloat16\n', claiming)).toBe(false);
    expect(logged).toEqual([expect.stringMatching(/^attention: chunked; the device refuses it: /)]);
    await expect(choose('dtype: bfloat16\nattention: fused\n', claiming)).rejects.toThrow(
      'attention: fused is not possible: the device refuses it',
    );
    await expect(choose('dtype: bfloat16\nattention: fused\n', claiming, plainAttention(0.9))).rejects.toThrow(
      'deviates from attention in chunks',
    );
  });

  test('a kernel that passes is used, unless the recipe says chunks', async () => {
    expect(await choose('dtype: bfloat16\n', claiming, plainAttention())).toBe(true);
    expect(logged).toEqual([expect.stringMatching(/^attention: fused, in 2 layers; deviates from chunks by 0\.\d\d%$/)]);
    expect(await choose('dtype: bfloat16\nattention: chunked\n', claiming, plainAttention())).toBe(false);
  });

  test('one process whose device fails keeps all of them with chunks', async () => {
    const facts = factsOf('dtype: bfloat16\n');
    const asRank = (other: boolean) => ({ all: (own: boolean) => [own, other] });
    const together = (other: boolean) =>
      chooseAttention({ recipe: facts.recipe, job, facts, attend: plainAttention(), ranks: asRank(other) }, claiming);
    expect(await together(true)).toBe(true);
    expect(await together(false)).toBe(false);
    expect(logged).toEqual([
      expect.stringMatching(/^attention: fused/),
      'attention: chunked; the device of another process cannot use the kernel',
    ]);
  });

  test('attention in a form that no kernel has is named', async () => {
    expect(await choose('', claiming, plainAttention())).toBe(false);
    expect(logged).toEqual([expect.stringMatching(/^attention: chunked; no attention of this run has a form that cuDNN computes/)]);
  });
});
