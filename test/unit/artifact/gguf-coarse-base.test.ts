/** The default type of a GGUF base of few bits: what was trained gets eight bits, since half a step of four is more than a short training changes. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { type ExportParams, type ExportResult, exportModel } from '../../../trainer/artifact/export-model.ts';
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

test('trained tensors are written in eight bits, so that rounding undoes less; every other one stays as it was', async () => {
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
  // A base of eight bits stays as it is.
  const eight = fileOf(await exportOf(base, { type: 'Q8_0' }));
  const kept = await exportOf(eight, { adapterPath: await tinyAdapter({ engine, method: 'spsft', budget: { r: 4 }, base: eight }) });
  expect(readFileSync(fileOf(kept)).length).toBe(readFileSync(eight).length);
});
