/**
 * Tests that our exports of embedders load in sentence-transformers with our embeddings (1e-5): pooling, with and without normalization.
 */
import { spawnSync } from 'node:child_process';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { exportModel } from '../../trainer/artifact/export-model.ts';
import { smokeIds, smokeLogits } from '../../trainer/artifact/smoke-test.ts';
import { readSentenceModules } from '../../trainer/format/sentence-modules.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { loadModel } from '../../trainer/model/load-model.ts';
import { valueFor } from '../../trainer/narrow.ts';
import type { Pooling } from '../../trainer/protocol/pooling.ts';
import { largestDifference } from '../../trainer/verify/verify-model.ts';
import { cacheDir } from '../support/cache-dir.ts';
import { openFast } from '../support/engines.ts';
import { temporaryFolder } from '../support/machine/temporary-folder.ts';
import { tinyClassifierAdapter } from '../support/models/tiny-classifier-adapter.ts';
import { locatePython, runOnRequest } from './python.ts';

const python = await locatePython(cacheDir);
const missing = 'missing' in python ? python.missing : whyNot(python.python);
const golden = join(import.meta.dirname, '..', 'golden');

/** Returns why the program cannot run; the other tests' environment lacks the package. */
function whyNot(program: string): string | undefined {
  // Looks for it without loading it, which takes seconds.
  const look = "import importlib.util, sys; sys.exit(importlib.util.find_spec('sentence_transformers') is None)";
  return spawnSync(program, ['-c', look]).status === 0 ? undefined : 'ROWTUNE_PYTHON has no sentence-transformers';
}

const cases: readonly { readonly family: string; readonly pooling: Pooling }[] = [
  { family: 'bert', pooling: { mode: 'mean', normalize: true } },
  { family: 'roberta', pooling: { mode: 'cls', normalize: false } },
  { family: 'modernbert', pooling: { mode: 'mean', normalize: true } },
  { family: 'distilbert', pooling: { mode: 'max', normalize: true } },
];

describe.skipIf(missing)(`sentence-transformers${missing ? ` (skipped: ${missing})` : ''}`, () => {
  const ours = new Map<string, Float32Array>();
  let theirs: Record<string, number[]> = {};

  beforeAll(async () => {
    const engine = await openFast();
    const work = await temporaryFolder();
    const requests: object[] = [];
    for (const { family, pooling } of cases) {
      const base = join(work, `base-${family}`);
      for (const part of [family, 'tiny-tokenizer']) cpSync(join(golden, part), base, { recursive: true });
      const adapterPath = await tinyClassifierAdapter({ base, method: 'spsft', problem: 'embedding', pooling });
      const outputDir = join(work, family);
      await exportModel({ adapterPath, format: 'merged', outputDir, overwrite: false, engine, openBase: () => openModel(base) });
      const folder = await openModel(outputDir);
      expect(await readSentenceModules(outputDir)).toEqual(pooling);
      const model = loadModel(folder.config, { problem: 'embedding', pooling });
      const ids = smokeIds(model, undefined);
      ours.set(family, await smokeLogits(engine, { model, weights: folder.weights }, ids));
      await folder.weights.close();
      requests.push({ name: family, folder: outputDir, ids: [...ids] });
    }
    if ('python' in python) theirs = await runOnRequest(python.python, 'load_sentences.py', requests);
  }, 600_000);

  test.each(cases.map(({ family }) => family))('%s', family => {
    expect(largestDifference(valueFor(ours, family), theirs[family] ?? [])).toBeLessThan(1e-5);
  });
});
