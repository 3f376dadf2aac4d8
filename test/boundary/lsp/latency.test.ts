/**
 * Measures the time from a keystroke to its diagnostics for a recipe on a model of 7 billion parameters. The times are printed, because
 * they depend on the machine.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { makeLargeModel } from '../../support/models/large-model.ts';
import { LanguageClient } from './language-client.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'rowtune-latency-'));
makeLargeModel(path.join(folder, 'large'));
writeFileSync(path.join(folder, 'mails.jsonl'), '{"text":"lunch?","label":"ham"}\n'.repeat(10_000));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const uri = pathToFileURL(path.join(folder, 'a.rowtune.yaml')).href;
const recipe = (typed: string): string =>
  `model: large\nmethod: spsft\nr: 32\ntarget_modules: [q_proj, v_proj, up_proj, down_proj]\nmax_length: 2048\nlearning_rate: 1.0e-4\n${typed}\ndata:\n  train: mails.jsonl\n`;
const KEYSTROKES = 40;

const report = (what: string, times: readonly number[]): void => {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): string => (sorted[Math.floor(share * (sorted.length - 1))] ?? 0).toFixed(1);
  console.log(`${what}: median ${at(0.5)} ms, 95% ${at(0.95)} ms, most ${at(1)} ms of ${times.length} keystrokes`);
};

/** Returns one more character of "warmup_stepz: 10" each time; every state is a mistake that the linter finds. */
const typed = (i: number): string => 'warmup_stepz: 10'.slice(0, 3 + (i % 10));

async function open(client: LanguageClient): Promise<void> {
  await client.notify('textDocument/didOpen', { textDocument: { uri, languageId: 'yaml', version: 0, text: recipe('') } });
}
const type = (client: LanguageClient, version: number, key: string): Promise<void> =>
  client.notify('textDocument/didChange', { textDocument: { uri, version }, contentChanges: [{ text: recipe(key) }] });

test('an editor that pulls', async () => {
  const client = new LanguageClient();
  await client.initialize({ textDocument: { diagnostic: {} } });
  await open(client);
  const pull = () => client.request<{ items: { code: string }[] }>('textDocument/diagnostic', { textDocument: { uri } });
  const start = performance.now();
  await pull();
  report('first look at the folder, pulled', [performance.now() - start]);
  const times: number[] = [];
  for (let i = 0; i < KEYSTROKES; i++) {
    const before = performance.now();
    await type(client, i + 1, typed(i));
    const { items } = await pull();
    times.push(performance.now() - before);
    expect(items.map(({ code }) => code)).toContain(i % 10 < 8 ? 'invalid-yaml' : 'unknown-key');
    // Faster than anyone types; the estimate for the previous state may be running.
    await new Promise(resolve => setTimeout(resolve, 30));
  }
  report('keystroke to diagnostics, pulled', times);
  expect(await client.shutdown()).toBe(0);
});

test('an editor that takes what is pushed', async () => {
  const client = new LanguageClient();
  await client.initialize({});
  await open(client);
  await client.diagnostics(uri, () => true);
  const times: number[] = [];
  for (let i = 0; i < KEYSTROKES; i++) {
    const before = performance.now();
    const key = `nonsense_${i}: 1`;
    await type(client, i + 1, key);
    await client.diagnostics(uri, found => found.some(({ message }) => message.includes(`'nonsense_${i}'`)));
    times.push(performance.now() - before);
  }
  report('keystroke to diagnostics, pushed (of which 25 ms wait for the next key)', times);
  expect(await client.shutdown()).toBe(0);
});
