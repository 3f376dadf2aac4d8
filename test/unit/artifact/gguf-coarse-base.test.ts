/**
 * Tests the default type for a GGUF base of few bits: trained weights get eight bits, because half a step of four is more than a short
 * training changes.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { type ExportParams, type ExportResult, exportModel } from '../../../trainer/artifact/export-model.ts';
import { precisionOf } from '../../../trainer/artifact/gguf/quantization.ts';
import { verifiedLines } from '../../../trainer/artifact/verified-lines.ts';
import type { GgufExportType } from '../../../trainer/catalog/artifacts.ts';
import type { Engine } from '../../../trainer/engine/engine.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { required } from '../../../trainer/narrow.ts';
import { cacheDir } from '../../support/cache-dir.ts';
import { openFast } from '../../support/engines.ts';
import { expectVerified, fileOf, headerOf } from '../../support/files/gguf-export.ts';
import { temporaryFolder } from '../../support/machine/temporary-folder.ts';
import { tinyAdapter } from '../../support/models/tiny-adapter.ts';
import { tinyDecoder } from '../../support/models/tiny-decoder.ts';

let engine: Engine;
let base = '';
beforeAll(async () => {
  engine = await openFast();
  base = fileOf(await exportOf(await tinyDecoder({ like: 'llama' }), { type: 'Q4_1' }));
});

async function exportOf(of: string, change: Partial<ExportParams> = {}): Promise<ExportResult> {
  const adapterPath = change.adapterPath ?? (await tinyAdapter({ engine, method: 'spsft', budget: { r: 4 }, base: of }));
  const outputDir = join(await temporaryFolder(), 'out');
  const openBase: ExportParams['openBase'] = ({ source }) => openModel(source);
  return exportModel({ format: 'gguf', outputDir, overwrite: false, engine, cacheDir, openBase, ...change, adapterPath });
}

test('trained tensors are written in eight bits to lose less of the training, and all others stay unchanged', async () => {
  const targets = ['q_proj', 'down_proj'];
  const adapterPath = await tinyAdapter({ engine, method: 'spsft', budget: { r: 4 }, targets, base });
  const messages: string[] = [];
  const onEvent: ExportParams['onEvent'] = event => event.type === 'log' && messages.push(event.message);
  const result = await exportOf(base, { adapterPath, onEvent });
  expectVerified(result);
  expect(messages).toContainEqual(expect.stringMatching(/^Trained tensors are written as Q8_0: the Q4_1 of the base would round/));
  const [before, after] = [await headerOf(base), await headerOf(fileOf(result))];
  const [one, other] = [readFileSync(base), readFileSync(fileOf(result))];
  for (const [i, was] of before.tensors.entries()) {
    const is = required(after.tensors[i], was.name);
    expect(is.name).toBe(was.name);
    const isTrained = /\.(?:attn_q|ffn_down)\.weight$/.test(was.name);
    expect(is.type.name, was.name).toBe(isTrained ? 'Q8_0' : was.type.name);
    if (!isTrained)
      expect(
        Buffer.compare(one.subarray(was.position, was.position + was.byteLength), other.subarray(is.position, is.position + is.byteLength)),
        was.name,
      ).toBe(0);
  }
  expect(after.metadata.get('general.file_type')).toBe(7);
  const asBase = await exportOf(base, { adapterPath, type: 'base' });
  expect(result.roundingDifference).toBeLessThan(asBase.roundingDifference ?? 0);
  const told = async (type?: ExportParams['type']): Promise<string> => {
    const lines: string[] = [];
    const say: ExportParams['onEvent'] = event => event.type === 'log' && lines.push(`${event.level}: ${event.message}`);
    await exportOf(base, { adapterPath, type, onEvent: say });
    return required(
      lines.find(line => line.includes('Rounding the weights')),
      'the line about rounding',
    );
  };
  expect(await told()).toMatch(/^info: Rounding/);
  // A base of eight bits keeps its type.
  const eight = fileOf(await exportOf(base, { type: 'Q8_0' }));
  const kept = await exportOf(eight, { adapterPath: await tinyAdapter({ engine, method: 'spsft', budget: { r: 4 }, base: eight }) });
  expect(readFileSync(fileOf(kept)).length).toBe(readFileSync(eight).length);
});

test('only a coarse type that was asked for is warned about, and a finer type is suggested', () => {
  const advice = (type: GgufExportType, isBaseCoarse = true, isBaseGguf = true) => precisionOf(type, isBaseCoarse, isBaseGguf);
  expect(advice('base')).toEqual({ finer: 'Q8_0', isCoarse: true });
  for (const type of ['Q4_0', 'Q4_K_M', 'Q5_1', 'Q6_K'] as const) expect(advice(type)).toEqual({ finer: 'Q8_0', isCoarse: true });
  for (const type of ['auto', 'Q8_0'] as const) expect(advice(type)).toEqual({ finer: 'F16', isCoarse: false });
  expect(advice('base', false)).toEqual({ finer: 'F16', isCoarse: false });
  expect([advice('base', false, false), advice('BF16'), advice('F32')]).toEqual([{ finer: 'F32' }, { finer: 'F32' }, {}]);
  expect(verifiedLines({ largest: 0, tolerance: 1 }, {}, 20)).toEqual([
    'Opened again, the export gives exactly the logits of the tuned model.',
  ]);
  const compared = { largest: 0.5, tolerance: 1, roundingDifference: 2, changedTokens: 3 };
  const [first, second] = verifiedLines(compared, { isRounded: true, ...advice('auto') }, 20);
  expect(first).toMatch(/^Opened again, the export differs from the tuned model with rounded weights by at most/);
  expect(second).toMatch(/after 3 of 20 tokens of the prompt: --type F16 keeps more of what was trained\.$/);
  expect(verifiedLines({ ...compared, changedTokens: 0 }, advice('Q4_0'), 20)[1]).toMatch(/after 0 of 20 tokens of the prompt\.$/);
  // Two tokens that are about as likely are no reason for a file of twice the size, unless the bits are few.
  const one = { ...compared, changedTokens: 1 };
  expect(verifiedLines(one, advice('Q8_0'), 20)[1]).toMatch(/after 1 of 20 tokens of the prompt\.$/);
  expect(verifiedLines(one, advice('Q4_K_M'), 20)[1]).toMatch(/: --type Q8_0 keeps more/);
});
