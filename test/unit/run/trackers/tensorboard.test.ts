/** Compares event files byte for byte with TensorBoard's own writer (tensorboard 2.20: RecordWriter over the same events). */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { TensorboardFile } from '../../../../trainer/run/trackers/tensorboard.ts';

const BYTES =
  '1800000000000000a37f4b220900002040fc54d9411a0d627261696e2e4576656e743a322b3531104a00000000000000af77' +
  'dbb00900002040fc54d94110072a3d0a120a0b747261696e2f65706f6368150000003f0a110a0a747261696e2f6c6f737315' +
  '0000a03f0a140a0d6576616c2f6163637572616379150000403f65e33299';
const NOW = 1_700_000_000_500;

test.each(['begun', 'appended'] as const)('a line that is %s', async how => {
  const folder = mkdtempSync(path.join(tmpdir(), 'rowtune-events-'));
  const line = { step: 7, epoch: 0.5, loss: 1.25, eval_accuracy: 0.75 };
  const file = await TensorboardFile.begin(folder, how === 'begun' ? [line] : [], NOW);
  if (how === 'appended') await file.append(line, NOW);
  const inside = path.join(folder, 'tensorboard');
  expect(readdirSync(inside)).toEqual(['events.out.tfevents.1700000000.rowtune']);
  expect(readFileSync(path.join(inside, 'events.out.tfevents.1700000000.rowtune')).toString('hex')).toBe(BYTES);
  rmSync(folder, { recursive: true });
});
