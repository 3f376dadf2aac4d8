/** Tests that weights that do not fit into memory are announced before they are loaded. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { deviceCard } from '../../../../trainer/catalog/device-card.ts';
import { inferencePrecision } from '../../../../trainer/handlers/inference/inference-precision.ts';
import { readModelHeaders } from '../../../../trainer/hub/open-model.ts';
import { Job } from '../../../../trainer/job/job.ts';
import { causalModel } from '../../../../trainer/model/load-model.ts';
import { weightBytes } from '../../../../trainer/model/weight-storage.ts';
import type { GenerateOptions, WorkerEvent } from '../../../../trainer/protocol/messages/job-messages.ts';
import { openFast } from '../../../support/engines.ts';

const folder = await readModelHeaders(join(import.meta.dirname, '..', '..', '..', 'golden', 'llama'));
const all = weightBytes(causalModel(folder.config));
const { description } = await openFast();

/** Returns what is logged before the weights are loaded on a GPU with this much memory. */
async function said(memoryBytes: number, asked: Pick<GenerateOptions, 'dtype' | 'quantize'> = {}) {
  const events: WorkerEvent[] = [];
  const engine = { description: { ...description, name: 'pjrt', gpu: deviceCard({ name: 'a card', memoryBytes }) } as const };
  await inferencePrecision(new Job(event => events.push(event)), { engine, folder, asked, runs: [] });
  return events.map(event => (event.type === 'log' ? event.message : event.type));
}

test('weights that fit are not mentioned', async () => expect(await said(all)).toEqual([]));

test.each([
  ['just too little', 0.9, {}, /; with --dtype bfloat16 --quantize none, they take .* kB$/],
  ['half', 0.45, {}, /; with --dtype bfloat16 --quantize int8, they take .* kB$/],
  ['nearly nothing', 0.01, {}, /; with --dtype bfloat16 --quantize nf4, they take .* kB$/],
  [
    'nearly nothing, with the fewest bits',
    0.01,
    { dtype: 'bfloat16', quantize: 'nf4' },
    /^the weights take .* kB, and .* of memory is free$/,
  ],
] as const)('of smaller types, the most exact that fits is named: %s', async (_, share, asked, message) =>
  expect(await said(share * all, asked)).toEqual([expect.stringMatching(message)]),
);
