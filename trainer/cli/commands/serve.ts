/** `rowtune serve`: models behind an HTTP server that speaks the OpenAI API. */
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Option } from 'commander';
import { readRegularText } from '../../files/regular-file.ts';
import type { InferenceType, ServedModelRequest } from '../../protocol/messages/job-messages.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { jobContext } from '../../settings.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { type AddCommand, type CommandContext, type CommandResult, runCommandWork, withCommonOptions } from '../command.ts';
import { baseOffloadOption, engineOption, numberOption, precisionOptions } from '../job-command.ts';
import { modelAndAdapter } from '../model-and-adapter.ts';
import { runWorker } from '../run-worker.ts';

interface Options {
  readonly host: string;
  readonly port: number;
  readonly base: boolean;
  /** False with --no-token. */
  readonly token: boolean;
  readonly allowOrigin: readonly string[];
  readonly maxTokens: number;
  readonly parallel: number;
  readonly revision: string;
  readonly engine: Recipe['engine'];
  readonly baseOffload?: Recipe['base_offload'];
  readonly dtype?: InferenceType;
  readonly quantize?: Recipe['quantize'];
}

const LOOPBACK: ReadonlySet<string> = new Set(['127.0.0.1', 'localhost', '::1']);
/** The file of the token, which is kept so that clients are configured only once. */
const TOKEN_FILE = 'serve-token';
const MAX_TOKEN_BYTES = 1024;

export const addServe: AddCommand = (program, surroundings) => {
  const command = program
    .command('serve')
    .description('serve models over the OpenAI API: chat completions and completions, with streaming, and embeddings')
    .argument('<models...>', 'run folders, model folders, .gguf files or names on the hub; NAME=MODEL gives one a name of its own')
    .option('--base', 'also serve the base model of each run', false)
    .option('--host <address>', 'the address to listen on; other machines send their token unencrypted', '127.0.0.1')
    .option('--port <number>', 'the port; 0 for a free one', numberOption({ min: 0, max: 65_535, integer: true }), 8642)
    .option('--no-token', 'answer any program on this machine without a token')
    .addOption(new Option('--allow-origin <url...>', 'let web pages of this origin ask').default([], 'none'))
    .option('--max-tokens <count>', 'the longest answer of a request that names no length', numberOption({ min: 1, integer: true }), 512)
    .option('--parallel <count>', 'answers that each model writes at the same time', numberOption({ min: 1, max: 64, integer: true }), 4)
    .option('--revision <name>', 'branch, tag or commit of models on the hub', 'main')
    .addOption(engineOption())
    .addOption(baseOffloadOption());
  for (const option of precisionOptions()) command.addOption(option);
  const examples = ['rowtune serve runs/spam --base', 'rowtune serve tuned=runs/spam HuggingFaceTB/SmolLM2-135M-Instruct --port 9000'];
  withCommonOptions(command, examples).action((models: string[]) =>
    runCommandWork(command, surroundings, context => serve(context, models, command.opts<Options>())),
  );
};

async function serve(context: CommandContext, named: readonly string[], options: Options): Promise<CommandResult> {
  const { settings, terminal, cwd } = context;
  const { host, port, engine, baseOffload, dtype, quantize, maxTokens, parallel, base, revision } = options;
  if (!options.token && !LOOPBACK.has(host)) throw usage('--no-token is only for this machine', 'Leave out --host, or keep the token.');
  const models = (await Promise.all(named.map(text => modelsOf(text, { cwd, base, revision })))).flat();
  const unique = models.filter(({ name, adapter }, i) => models.findIndex(other => other.name === name && other.adapter === adapter) === i);
  const twice = unique.find(({ name }, i) => unique.findIndex(other => other.name === name) !== i);
  if (twice) throw usage(`two models are called ${twice.name}`, `Give one another name, for example other=${twice.model}.`);
  const token = options.token ? await readToken(settings.stateDir) : undefined;
  const request = {
    kind: 'serve',
    context: jobContext(settings, cwd),
    models: unique,
    engine,
    baseOffload,
    dtype,
    quantize,
    host,
    port,
    token,
    origins: options.allowOrigin.map(originOf),
    maxTokens,
    parallel,
  } as const;
  let url = '';
  try {
    const value = await runWorker({
      request,
      terminal,
      threads: 0,
      onEvent: event => {
        if (event.type !== 'serving') return false;
        url = `http://${host.includes(':') ? `[${host}]` : host}:${event.port}/v1`;
        terminal.progress.end();
        terminal.say('info', `serving ${unique.map(({ name }) => name).join(', ')} at ${url}; Ctrl-C ends it`);
        terminal.say('info', token === undefined ? 'any program on this machine may ask' : `API key: ${token}`);
        if (!LOOPBACK.has(host))
          terminal.say('warning', 'requests and the API key are not encrypted; use a tunnel outside a trusted network');
        return true;
      },
    });
    terminal.say('info', 'the server has ended');
    return { value: { ok: true, url, ...value } };
  } catch (error) {
    // Ctrl-C is the usual way to end a server; a second one does not wait for the current answer.
    if (!(error instanceof CliError) || error.code !== 'aborted' || url === '') throw error;
    return { value: { ok: true, url } };
  }
}

const usage = (message: string, hint: string): CliError => new CliError(message, { code: 'usage', exitStatus: EXIT.usage, hint });

/** The origin of a page's address, as browsers send it. @throws CliError if it is not an address */
export function originOf(address: string): string {
  // The host in localhost:3000 would be parsed as a scheme.
  if (!address.includes('://') || !URL.canParse(address))
    throw usage(`--allow-origin takes the address of a web page, not ${address}`, 'Write it as http://localhost:3000');
  const { origin } = new URL(address);
  // For example, the pages of a browser extension have no origin.
  return origin === 'null' ? address.replace(/\/$/, '') : origin;
}

/** The models to serve. A run is its base with its adapter; with `base`, the base follows under its own name. */
async function modelsOf(
  text: string,
  { cwd, base, revision }: { readonly cwd: string; readonly base: boolean; readonly revision: string },
): Promise<ServedModelRequest[]> {
  const [, given, model = text] = /^([\w.:-]+)=(.+)$/.exec(text) ?? [];
  const found = await modelAndAdapter(model, { revision, cwd });
  const baseName = path.isAbsolute(found.model) ? path.basename(found.model, '.gguf') : found.model;
  if (found.adapter === undefined) return [{ ...found, name: given ?? baseName }];
  const tuned = { ...found, name: given ?? path.basename(found.adapter) };
  return base ? [tuned, { name: baseName, model: found.model, revision: found.revision }] : [tuned];
}

/** The token in the state folder, created on first use and readable only by its owner. */
async function readToken(stateDir: string): Promise<string> {
  const file = path.join(stateDir, TOKEN_FILE);
  const known = await readRegularText(file, MAX_TOKEN_BYTES).catch(() => '');
  if (/^[\w-]{32,}$/.test(known.trim())) return known.trim();
  const token = randomBytes(24).toString('base64url');
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  await writeFile(file, `${token}\n`, { mode: 0o600 });
  return token;
}
