/** Tests the language server as an editor uses it: the bundled process over its standard streams, from initialize to exit. */
import { spawn } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { CancellationTokenSource } from 'vscode-jsonrpc/node';
import { makeWorkspace } from '../../unit/lint/check-view.ts';
import { type Diagnostic, LanguageClient } from './language-client.ts';

const folder = makeWorkspace();
const uri = pathToFileURL(path.join(folder, 'a.rowtune.yaml')).href;
const clients: LanguageClient[] = [];
const connect = (): LanguageClient => {
  const client = new LanguageClient();
  clients.push(client);
  return client;
};

afterEach(() => {
  for (const client of clients.splice(0)) {
    client.connection.dispose();
    client.process.kill('SIGKILL');
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const text = 'model: models/tiny\nr: 8\nmax_length: 32\nlearning_rat: 1.0e-4\ndata:\n  train: spam.jsonl\n';
const open = (client: LanguageClient, content: string, at = uri): Promise<void> =>
  client.notify('textDocument/didOpen', { textDocument: { uri: at, languageId: 'yaml', version: 1, text: content } });
const change = (client: LanguageClient, content: string, version: number): Promise<void> =>
  client.notify('textDocument/didChange', { textDocument: { uri, version }, contentChanges: [{ text: content }] });

interface Action {
  readonly title: string;
  readonly edit: { readonly changes: Record<string, { range: { start: Place; end: Place }; newText: string }[]> };
}
interface Place {
  readonly line: number;
  readonly character: number;
}

function apply(before: string, { edit }: Action): string {
  const [found] = edit.changes[uri] ?? [];
  if (found === undefined) return before;
  const lines = before.split('\n');
  const offset = ({ line, character }: Place): number => lines.slice(0, line).reduce((sum, { length }) => sum + length + 1, 0) + character;
  return before.slice(0, offset(found.range.start)) + found.newText + before.slice(offset(found.range.end));
}

describe('an editor that takes what is pushed', () => {
  it('sees a typo, fixes it, hovers, completes, and leaves', async () => {
    const client = connect();
    const { capabilities } = await client.initialize({});
    expect(capabilities).toMatchObject({ hoverProvider: true, inlayHintProvider: true });
    expect(capabilities).not.toHaveProperty('diagnosticProvider');

    await open(client, text);
    const [problem] = await client.diagnostics(uri, ({ length }) => length === 1);
    expect(problem).toMatchObject({ code: 'unknown-key', severity: 1 });
    expect(problem?.codeDescription.href).toMatch(/docs\/reference\/diagnostics\.md#unknown-key$/);

    const range = { start: { line: 3, character: 2 }, end: { line: 3, character: 2 } };
    const [action] = await client.request<Action[]>('textDocument/codeAction', {
      textDocument: { uri },
      range,
      context: { diagnostics: [problem] },
    });
    if (action === undefined) throw new Error('no code action');
    expect(action.title).toBe("Rename to 'learning_rate'");
    const fixed = apply(text, action);
    expect(fixed).toContain('\nlearning_rate: 1.0e-4\n');
    await change(client, fixed, 2);
    await client.diagnostics(uri, ({ length }) => length === 0);

    const hover = await client.request<{ contents: { value: string } }>('textDocument/hover', {
      textDocument: { uri },
      position: { line: 0, character: 9 },
    });
    expect(hover.contents.value).toContain('2 blocks');
    const items = await client.request<{ label: string }[]>('textDocument/completion', {
      textDocument: { uri },
      position: { line: 5, character: 9 },
    });
    expect(items.map(({ label }) => label)).toContain('spam.jsonl');
    const lenses = await client.request<{ command: { command: string } }[]>('textDocument/codeLens', { textDocument: { uri } });
    expect(lenses.map(({ command }) => command.command)).toEqual([
      'rowtune.train',
      'rowtune.importance',
      'rowtune.estimate',
      'rowtune.openLastRun',
      'rowtune.previewData',
    ]);
    const about = <T>(method: string): Promise<T> => client.request(`textDocument/${method}`, { textDocument: { uri }, options: {} });
    const symbols = await about<{ name: string; children: { name: string }[] }[]>('documentSymbol');
    expect(symbols.map(({ name }) => name)).toEqual(['model', 'r', 'max_length', 'learning_rate', 'data']);
    expect(symbols.at(-1)?.children.map(({ name }) => name)).toEqual(['train']);
    expect(await about('foldingRange')).toEqual([{ startLine: 4, endLine: 5 }]);
    const links = await about<{ target: string }[]>('documentLink');
    expect(links.map(({ target }) => path.basename(target))).toEqual(['config.json', 'spam.jsonl']);
    expect(await about('formatting')).toEqual([]);
    await change(client, fixed.replace('r: 8', 'r:   8'), 3);
    expect(await about('formatting')).toMatchObject([{ newText: 'r: 8', range: { start: { line: 1 }, end: { line: 1 } } }]);
    expect(await client.shutdown()).toBe(0);
  });

  it('gets the memory hint once nobody types, and a new hint after each change', async () => {
    const client = connect();
    await client.initialize({});
    const fixed = text.replace('learning_rat:', 'learning_rate:');
    await open(client, fixed);
    await client.diagnostics(uri, ({ length }) => length === 0);
    const whole = { start: { line: 0, character: 0 }, end: { line: 99, character: 0 } };
    const memory = async (): Promise<string | undefined> => {
      const hints = await client.request<{ label: string }[]>('textDocument/inlayHint', { textDocument: { uri }, range: whole });
      return /^(.*) of .* free, recompute: /.exec(hints.map(({ label }) => label).find(label => label.includes(' free, ')) ?? '')?.[1];
    };
    await expect.poll(memory).toBeDefined();
    for (const [version, batch] of [200, 400].entries()) {
      const before = await memory();
      await change(client, `${fixed}per_device_train_batch_size: ${batch}\n`, version + 2);
      await expect.poll(async () => ![undefined, before].includes(await memory())).toBe(true);
    }
  });

  it('starts with a folder address that is not a file path, which some editors send', async () => {
    const client = connect();
    const { capabilities } = await client.initialize({ workspaceFolders: [{ uri: 'file://.', name: 'here' }] });
    expect(capabilities).toMatchObject({ hoverProvider: true });
    await open(client, 'r: x\n', 'file://elsewhere/a.rowtune.yaml');
    const problems = await client.diagnostics('file://elsewhere/a.rowtune.yaml', ({ length }) => length > 0);
    expect(problems.map(({ code }) => code)).toContain('wrong-type');
  });

  it('notices a model folder that changes', async () => {
    const client = connect();
    await client.initialize({});
    await open(client, 'model: models/tiny\nr: 8\nmax_length: 32\ndata:\n  train: later.jsonl\n');
    await client.diagnostics(uri, found => found.some(({ code }) => code === 'data-not-found'));
    writeFileSync(path.join(folder, 'later.jsonl'), '{"text":"a"}\n');
    await client.notify('workspace/didChangeWatchedFiles', { changes: [] });
    await client.diagnostics(uri, ({ length }) => length === 0);
  });

  it('asks an editor that pulls diagnostics to pull again when files have changed', async () => {
    const client = connect();
    await client.initialize({ textDocument: { diagnostic: {} }, workspace: { diagnostics: { refreshSupport: true } } });
    const asked = new Promise<void>(resolve => client.connection.onRequest('workspace/diagnostic/refresh', () => resolve()));
    const pull = async () =>
      (await client.request<{ items: { code: string }[] }>('textDocument/diagnostic', { textDocument: { uri } })).items;
    await open(client, 'model: models/tiny\nr: 8\nmax_length: 32\ndata:\n  train: much-later.jsonl\n');
    expect((await pull()).map(({ code }) => code)).toContain('data-not-found');
    writeFileSync(path.join(folder, 'much-later.jsonl'), '{"text":"a"}\n');
    await client.notify('workspace/didChangeWatchedFiles', { changes: [] });
    await asked;
    expect(await pull()).toEqual([]);
  });

  it('reports missing files only as information while the daemon runs on another machine', async () => {
    const client = connect();
    await client.initialize({});
    const set = (daemon: object) => client.notify('workspace/didChangeConfiguration', { settings: { rowtune: { daemon } } });
    await open(client, 'model: models/far\ndata: {train: far.jsonl}\n');
    await client.diagnostics(uri, found => found.length === 2 && found.every(({ severity }) => severity === 1));
    await set({ url: 'wss://gpu-box:8421', folder: '/srv/mail' });
    const [problem] = await client.diagnostics(uri, found => found.length === 2 && found.every(({ severity }) => severity === 3));
    expect(problem?.message).toMatch(/wss:\/\/gpu-box:8421.*\/srv\/mail/);
    await set({ url: '', folder: '/srv/mail' });
    await client.diagnostics(uri, found => found.length === 2 && found.every(({ severity }) => severity === 1));
    await client.connection.sendNotification('workspace/didChangeConfiguration', { settings: null });
    expect(await client.shutdown()).toBe(0);
  });

  it('reports a problem of config.json under its key', async () => {
    const client = connect();
    await client.initialize({});
    const config = pathToFileURL(path.join(folder, 'models', 'tiny', 'config.json')).href;
    await open(client, '{"architectures": ["LlamaForCausalLM"],\n "vocab_size": -5}', config);
    const found = await client.diagnostics(config, ({ length }) => length > 0);
    expect(found.map(({ code }) => code)).toContain('contradictory-config');
  });

  it('opens the last run of a recipe where there is one', async () => {
    const client = connect();
    await client.initialize({});
    const lens = async (content: string): Promise<unknown> => {
      await change(client, content, 2);
      const lenses = await client.request<{ command: { command: string; arguments: unknown[] } }[]>('textDocument/codeLens', {
        textDocument: { uri },
      });
      return lenses.find(({ command }) => command.command === 'rowtune.openLastRun')?.command.arguments;
    };
    await open(client, '');
    expect(await lens(`${text}output_dir: runs/done\n`)).toEqual([uri, path.join(folder, 'runs', 'done')]);
    expect(await lens(`${text}output_dir: runs/never\n`)).toBeUndefined();
  });

  it('converts the recipe of another tool, and fixes a config', async () => {
    const client = connect();
    await client.initialize({});
    const actions = (at: string, line: number): Promise<Action[]> => {
      const place = { line, character: 16 };
      return client.request('textDocument/codeAction', {
        textDocument: { uri: at },
        range: { start: place, end: place },
        context: { diagnostics: [] },
      });
    };
    const foreign = 'base_model: models/tiny\nadapter: lora\nlora_r: 8\nsequence_len: 32\ndatasets:\n  - path: spam.jsonl\n';
    await open(client, foreign);
    const conversion = (await actions(uri, 0)).find(({ title }) => title === 'Convert this recipe of Axolotl');
    if (conversion === undefined) throw new Error('no conversion');
    const converted = apply(foreign, conversion);
    // Defaults of Axolotl that differ from ours are written out.
    const defaults =
      'group_by_length: false\nper_device_train_batch_size: 1\nnum_train_epochs: 1\nlr_scheduler_type: cosine\nwarmup_ratio: 0.03 # there it is at most 100 updates\n';
    expect(converted).toBe(`model: models/tiny\nmethod: lora\nr: 8\ndata:\n  train: spam.jsonl\nmax_length: 32\n${defaults}`);
    await change(client, converted, 2);
    await client.diagnostics(uri, ({ length }) => length === 0);

    const config = pathToFileURL(path.join(folder, 'models', 'tiny', 'generation_config.json')).href;
    await open(client, '{\n  "max_length": 4096\n}\n', config);
    expect((await client.diagnostics(config, ({ length }) => length > 0)).map(({ code }) => code)).toEqual(['generation-length']);
    const [mend] = await actions(config, 1);
    expect(mend).toMatchObject({ title: 'Replace with 64', edit: { changes: { [config]: [{ newText: '64' }] } } });
  });

  it('reports problems of a buffer that was never saved', async () => {
    const client = connect();
    await client.initialize({}, process.pid, pathToFileURL(folder).href);
    const unsaved = 'untitled:new.rowtune.yaml';
    await open(client, text, unsaved);
    expect((await client.diagnostics(unsaved, ({ length }) => length > 0)).map(({ code }) => code)).toEqual(['unknown-key']);
  });

  it('continues after requests that are canceled', async () => {
    const client = connect();
    await client.initialize({});
    await open(client, text);
    const at = { textDocument: { uri }, position: { line: 3, character: 3 } };
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const source = new CancellationTokenSource();
        const answer = client.connection.sendRequest('textDocument/completion', at, source.token);
        source.cancel();
        return answer.then(
          () => 'answered',
          (error: { readonly code: unknown }) => error.code,
        );
      }),
    );
    // A request that was already done may still be answered.
    expect(new Set(outcomes).size).toBeLessThanOrEqual(2);
    for (const outcome of outcomes) expect(['answered', -32800]).toContain(outcome);
    expect(await client.request('textDocument/hover', at)).toBeNull();
    expect(await client.shutdown()).toBe(0);
  });

  it('survives garbage, typed one key at a time', async () => {
    const client = connect();
    await client.initialize({});
    await open(client, '');
    for (const [i, content] of ['{', '[', ': :', '- - -', '\t\t', '"', '&a [*a]', 'model: [', 'data: {train', '? ?'].entries()) {
      await change(client, content, i + 2);
      const at = { textDocument: { uri }, position: { line: 0, character: content.length } };
      await client.request('textDocument/completion', at);
      await client.request('textDocument/hover', at);
      await client.request('textDocument/formatting', { ...at, options: {} });
    }
    await change(client, text, 99);
    const isTypo = ({ code, message }: Diagnostic): boolean => code === 'unknown-key' && message.includes('learning_rat');
    expect(await client.diagnostics(uri, found => found.length === 1 && found.every(isTypo))).toHaveLength(1);
  });
});

it('an editor that pulls gets its diagnostics by asking', async () => {
  const client = connect();
  const { capabilities } = await client.initialize({ textDocument: { diagnostic: {} } });
  expect(capabilities).toHaveProperty('diagnosticProvider');
  await open(client, text);
  const report = await client.request<{ items: { code: string }[] }>('textDocument/diagnostic', { textDocument: { uri } });
  expect(report.items.map(({ code }) => code)).toEqual(['unknown-key']);
});

it('ends when the editor is gone', async () => {
  const editor = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  const client = connect();
  await client.initialize({}, editor.pid);
  editor.kill('SIGKILL');
  // The server checks for its parent every three seconds.
  expect(await client.exited).not.toBeUndefined();
});
