/** Tests the comparison of an attention kernel with attention in chunks, with other forms of attention in place of the kernel. */
import { expect, test } from 'vitest';
import { withWindow } from '../../../trainer/model/family/decoder/blocks/window.ts';
import { type Attend, type AttentionForm, checkAttention } from '../../../trainer/plan/choices/check-attention.ts';
import { describeWith } from '../../support/describe-with.ts';
import { cpuPlugin, noCpuPlugin, plainAttention } from '../../support/numbers/plain-attention.ts';

const form: AttentionForm = {
  ...{ compute: 'bfloat16', headDim: 16, group: 2, tokens: 200, scale: 0.25, causal: true, isPadded: false },
};

const forms: readonly (readonly [string, AttentionForm])[] = [
  ['causal', form],
  ['a window of keys', { ...form, window: 4096 }],
  ['filled up', { ...form, causal: false, isPadded: true }],
  ['filled up, causal', { ...form, isPadded: true, group: 1, headDim: 64, scale: 0.1 }],
  ['of 32 bits', { ...form, compute: 'float32' }],
];

describeWith('on the CPU plugin', cpuPlugin, noCpuPlugin, engine => {
  test.each(forms)('passes another way to attend: %s', async (_, given) => {
    const found = await checkAttention(engine, given, plainAttention());
    expect(found).toMatchObject({ repeats: true });
    expect(found.problem).toBeUndefined();
    expect(found.deviation).toBeLessThan(0.01);
  });

  test.each(forms)('refuses one whose scale is wrong by a tenth: %s', async (_, given) => {
    const found = await checkAttention(engine, given, plainAttention(1.1));
    expect(found.problem).toMatch(/deviates from attention in chunks by \d+\.\d%, more than 2%/);
    expect(found.deviation).toBeGreaterThan(0.1);
  });

  test.each(['causal', 'a window of keys', 'filled up'])('refuses one that hides no keys: %s', async title => {
    const [, given = form] = forms.find(([name]) => name === title) ?? [];
    const blind: Attend = (graph, params) => plainAttention()(graph, { ...params, mask: { kind: 'all' } });
    expect((await checkAttention(engine, given, blind)).problem).toContain('deviates from attention in chunks');
  });

  test('refuses a window that is wider by one key', async () => {
    const wider: Attend = (graph, params) => {
      const window = Math.floor(form.tokens / 3) + 1;
      return plainAttention()(graph, { ...params, mask: withWindow(graph, { mask: { kind: 'causal' } }, form.tokens, window) });
    };
    expect((await checkAttention(engine, { ...form, window: 4096 }, wider)).problem).toContain('deviates from attention in chunks');
  });

  test('refuses numbers that are not finite', async () => {
    const found = await checkAttention(engine, form, plainAttention(Number.NaN));
    expect(found.problem).toContain('numbers that are not finite');
  });

  test('refuses a kernel that the device does not have, with its reason', async () => {
    expect((await checkAttention(engine, form)).problem).toMatch(/^the device refuses it: .*fmhaSoftmax/);
  });
});
