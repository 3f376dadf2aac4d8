/** Passes hostile recipes to the linter, the language server and the daemon; each must answer in time and survive. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { LanguageClient } from '../boundary/lsp/language-client.ts';
import { cli } from '../e2e/cli/run-cli.ts';
import { makeTinyTask } from '../support/runs/tiny-task.ts';
import { RealDaemon } from './frames.ts';
import { largeRecipes } from './hostile-recipes.ts';
import { type Case, failed, OK, type Part, sampleOf, type Verdict } from './trial.ts';

const SAMPLE = 5;
/** Time limit in ms; far more than an editor's user waits, and than a busy machine takes. */
const ANSWER_MS = 60_000;

export const recipes: Part = {
  name: 'recipes',
  unit: 'hostile recipes',
  async prepare({ root, seed, isSample }) {
    const corpus = join(root, 'test', 'hostile', 'corpus', 'hostile-recipes');
    const small = readdirSync(corpus).map((name): [string, Buffer] => [name, readFileSync(join(corpus, name))]);
    const large = Object.entries(largeRecipes).map(([name, text]): [string, Buffer] => [name, Buffer.from(text)]);
    const { folder } = makeTinyTask();
    const state = mkdtempSync(join(tmpdir(), 'rowtune-recipes-'));
    const daemon = new RealDaemon(root, state);
    await daemon.start();
    const all = [...small, ...large];
    const cases = (isSample ? sampleOf(all, SAMPLE, seed) : all).map(
      ([name, bytes], place): Case => ({
        id: name,
        count: 1,
        run: () => attack({ bytes, file: join(folder, `r${place}.rowtune.yaml`), folder, daemon }),
      }),
    );
    return {
      cases,
      dispose: async () => {
        await daemon.stop();
        for (const made of [folder, state]) rmSync(made, { recursive: true, force: true });
      },
    };
  },
};

interface Attack {
  readonly bytes: Buffer;
  readonly file: string;
  readonly folder: string;
  readonly daemon: RealDaemon;
}

async function attack(params: Attack): Promise<Verdict> {
  writeFileSync(params.file, params.bytes);
  for (const ask of [askLinter, askServer, askDaemon]) {
    const verdict = await ask(params);
    if (verdict.failing) return verdict;
  }
  if (existsSync(join(params.folder, 'polluted')) || 'polluted' in {}) return failed('wrong', 'prototypes are polluted');
  return OK;
}

async function askLinter({ file, folder }: Attack): Promise<Verdict> {
  const run = await timely(cli(['lint', file], { cwd: folder }));
  if (run === LATE) return failed('hung', 'lint does not end');
  const said = run.stdout + run.stderr;
  if (run.signal !== null || ![0, 2].includes(run.status ?? -1))
    return failed('crashed', `lint: ${run.signal ?? run.status}: ${said.slice(-2000)}`);
  return /^\s+at .*\.[jt]s:\d+/m.test(said) ? failed('crashed', `lint shows a stack: ${said.slice(-2000)}`) : OK;
}

async function askServer({ bytes, file }: Attack): Promise<Verdict> {
  const client = new LanguageClient();
  const uri = pathToFileURL(file).href;
  try {
    const work = async (): Promise<void> => {
      await client.initialize({});
      const textDocument = { uri, languageId: 'yaml', version: 1, text: bytes.toString('utf8') };
      await client.notify('textDocument/didOpen', { textDocument });
      await client.diagnostics(uri, () => true);
      const range = { start: { line: 0, character: 0 }, end: { line: 5, character: 0 } };
      await client.request('textDocument/codeAction', { textDocument: { uri }, range, context: { diagnostics: [] } });
      for (const method of ['hover', 'completion'])
        await client.request(`textDocument/${method}`, { textDocument: { uri }, position: { line: 0, character: 3 } });
      if ((await client.shutdown()) !== 0) throw new Error('it does not end in order');
    };
    const outcome = await timely(Promise.race([work(), client.exited.then(() => 'ended' as const)]));
    if (outcome === LATE) return failed('hung', 'the language server does not answer');
    if (client.process.signalCode !== null || (client.process.exitCode ?? 0) !== 0)
      return failed('crashed', `the language server ended: ${client.process.signalCode ?? client.process.exitCode}`);
    return OK;
  } catch (error) {
    return failed('wrong', `language server: ${error}`);
  } finally {
    client.connection.dispose();
    client.process.kill('SIGKILL');
  }
}

async function askDaemon({ bytes, file, folder, daemon }: Attack): Promise<Verdict> {
  const client = await daemon.other();
  const recipe = { text: bytes.toString('utf8').slice(0, 2 ** 20), fileName: file, baseDir: folder };
  const id = `recipe-${file}`;
  const work = async (): Promise<void> => {
    await client.request('estimate', { recipe }).catch(() => undefined);
    const job = await client.request('train', { id, recipe }).catch(() => undefined);
    if (job) await client.request('abortJob', { id }).catch(() => undefined);
    if (job) await client.request('waitForJob', { id }).catch(() => undefined);
    await client.request('daemonStatus', {});
  };
  const outcome = await timely(work()).catch((error: Error) => error);
  if (daemon.hasEnded) {
    await daemon.start();
    return failed('crashed', 'the daemon ended');
  }
  if (outcome === LATE) return failed('hung', 'the daemon does not answer');
  return outcome instanceof Error ? failed('wrong', `daemon: ${outcome.message}`) : OK;
}

const LATE = Symbol('late');
const timely = <T>(work: Promise<T>): Promise<T | typeof LATE> => Promise.race([work, delay(ANSWER_MS, LATE, { ref: false })]);
