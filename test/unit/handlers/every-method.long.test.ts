/** Tests each method from recipe to text: trained, stopped, continued bit for bit, exported in its forms, and read by the generator. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { ExportFormat } from '../../../trainer/catalog/artifacts.ts';
import { type MethodName, methodCatalog, methodNames } from '../../../trainer/catalog/methods.ts';
import { openOthers } from '../../support/engines.ts';
import { giveBiases } from '../../support/models/biased-model.ts';
import { runInProcess, stopAfter } from '../../support/runs/run-in-process.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

const task = makeTinyTask();
afterAll(() => rmSync(task.folder, { recursive: true, force: true }));
await giveBiases(join(task.folder, 'model'), join(task.folder, 'biased'));
const { context } = task;
const hasTensorflow = (await openOthers()).some(({ name, engine }) => name === 'tensorflow' && engine);
const engine = hasTensorflow ? 'tensorflow' : 'portable';

const settings: Readonly<Record<MethodName, readonly string[]>> = {
  spsft: [],
  lora: ['lora_dropout=0.2'],
  dora: ['lora_dropout=0.2'],
  rosa: ['sparse_ratio=0.05', 'importance.samples=8'],
  shira: [],
  vera: ['lora_dropout=0.2'],
  'spsft+lora': ['ratio=0.1'],
  bitfit: ['model=biased'],
  head: [],
  full: [],
};
const inPeft: readonly MethodName[] = ['spsft', 'lora', 'dora', 'shira', 'vera', 'spsft+lora'];

interface Case {
  readonly name: string;
  readonly method: MethodName;
  readonly settings: readonly string[];
}

const cases: readonly Case[] = [
  ...methodNames.map(method => ({ name: method, method, settings: settings[method] })),
  { name: 'lora from singular vectors', method: 'lora', settings: ['init_lora_weights=pissa', 'lora_dropout=0.2'] },
];

test.each(cases)(`$name on ${engine}`, async ({ name, method, settings: own }) => {
  const rank = methodCatalog[method].r === undefined ? [] : ['r=8'];
  const recipe = task.recipe(`engine=${engine}`, `method=${method}`, ...own, 'max_steps=4', 'save_strategy="no"', ...rank);
  const runDir = join(task.folder, `${name} parts`);
  const whole = await runInProcess({ kind: 'train', recipe, runDir: join(task.folder, `${name} whole`), context });
  const first = await runInProcess({ kind: 'train', recipe, runDir, context }, stopAfter(2));
  const second = await runInProcess({ kind: 'resume', runDir, overrides: [], context });
  expect([...first.losses, ...second.losses]).toEqual([...whole.losses]);
  expect(second.value.after?.loss).toBe(whole.value.after?.loss);
  const formats: readonly ExportFormat[] = inPeft.includes(method) ? ['adapter', 'merged', 'peft'] : ['adapter', 'merged'];
  for (const format of formats) {
    const outputDir = join(task.folder, `${name} ${format}`);
    const { value } = await runInProcess({ kind: 'export', adapter: runDir, format, outputDir, overwrite: false, context });
    expect(value.largestDifference).toBeLessThan(1e-4);
  }
  const texts = await Promise.all(
    [join(task.folder, `${name} adapter`), runDir].map(adapter => generated(method === 'bitfit' ? 'biased' : 'model', adapter)),
  );
  expect(texts[0]).toBe(texts[1]);
  expect(texts[0]?.length).toBeGreaterThan(0);
});

async function generated(model: string, adapter: string | undefined): Promise<string> {
  const options = { engine: 'portable', chat: false, maxNewTokens: 6, temperature: 0, topP: 1, topK: 0, seed: 0 } as const;
  const { events } = await runInProcess({ kind: 'generate', model, revision: 'main', adapter, prompt: 'lunch at 7:', options, context });
  return events.flatMap(event => (event.type === 'text' ? event.chunk : [])).join('');
}
