/** Tests loading large weights into an engine: there is no second copy of a tensor's values in memory. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { type TensorEntry, writeSafetensors } from '../../../trainer/format/safetensors/safetensors-writer.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { causalModel } from '../../../trainer/model/load-model.ts';
import type { ParameterSpec } from '../../../trainer/model/module-specs.ts';
import { tensorsNamed } from '../../../trainer/model/stored-form.ts';
import { weightStream } from '../../../trainer/model/weight-stream.ts';
import { readRecord } from '../../support/files/read-json.ts';
import { temporaryFolder } from '../../support/machine/temporary-folder.ts';

setFlagsFromString('--expose-gc');
// With this flag, memory freed by a collection is no longer counted when the collection returns.
setFlagsFromString('--no-concurrent-array-buffer-sweeping');
const collect: unknown = runInNewContext('gc');
if (typeof collect !== 'function') throw new Error('this Node gives no function that collects');

/** Maximum overhead; a second copy would add 1. */
const LESS_THAN_ONE = 0.5;

async function folderOf(like: string, changes: Record<string, unknown>): Promise<string> {
  const dir = await temporaryFolder();
  const config = { ...readRecord(join(import.meta.dirname, '../../golden', like, 'config.json')), ...changes };
  await writeFile(join(dir, 'config.json'), JSON.stringify(config));
  const entries = causalModel(config)
    .parameters.flatMap((spec): readonly Pick<ParameterSpec, 'name' | 'shape'>[] => tensorsNamed(spec, () => true) ?? [spec])
    .map(({ name, shape }): TensorEntry => {
      const bytes = shape.reduce((n, d) => n * d, 2);
      return { name, shape, dtype: 'BF16', data: () => new Uint8Array(bytes) };
    });
  await writeSafetensors(join(dir, 'model.safetensors'), entries);
  return dir;
}

test.each([
  ['the embedding of Gemma 3', 1, 'gemma3', { vocab_size: 262_144, hidden_size: 64, tie_word_embeddings: true }],
  // The previous stack of the same size may still be in use.
  ['a layer of 128 experts', 2, 'qwen3_moe', { num_local_experts: 128, hidden_size: 128, moe_intermediate_size: 256, vocab_size: 16 }],
])('%s', async (_, tensors, like, changes) => {
  const { config, weights } = await openModel(await folderOf(like, changes));
  const model = causalModel(config);
  const largest = 4 * Math.max(...model.parameters.map(({ shape }) => shape.reduce((n, d) => n * d, 1)));
  collect();
  const before = process.memoryUsage().arrayBuffers;
  let [peak, isDone] = [0, false];
  const look = (): void => {
    collect();
    peak = Math.max(peak, process.memoryUsage().arrayBuffers - before);
  };
  const watch = async (): Promise<void> => {
    while (!isDone) {
      look();
      await setTimeout(5);
    }
  };
  const watched = watch();
  let count = 0;
  for await (const { data } of weightStream(model, weights)) {
    // While a tensor is held here, the peak is at least its size, regardless of when the watch looks.
    look();
    count += data === 'zeros' ? 0 : 1;
  }
  isDone = true;
  await watched;
  await weights.close();
  expect(count).toBe(model.parameters.length);
  expect(peak).toBeGreaterThan(0.9 * largest);
  expect(peak).toBeLessThan((tensors + LESS_THAN_ONE) * largest);
});
