/**
 * Tests `rowtune mcp` as an agent uses it: repairs a recipe with five mistakes using only the tools' answers, then estimates, trains and
 * reads it.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { afterAll, expect, test } from 'vitest';
import { z } from 'zod';
import { agentToolNames } from '../../trainer/catalog/agent-tools.ts';
import type { Daemon } from '../../trainer/rpc/daemon.ts';
import { makeStateDir, startTestDaemon, until } from '../support/daemon/daemon.ts';
import { parseJson } from '../support/files/read-json.ts';
import { makeTinyTask } from '../support/runs/tiny-task.ts';

const program = path.join(import.meta.dirname, '..', '..', 'bin', 'rowtune.mjs');
const task = makeTinyTask();
const stateDir = makeStateDir();
const clients: Client[] = [];
let daemon: Daemon | undefined;

afterAll(async () => {
  await Promise.all(clients.map(client => client.close()));
  await daemon?.stop();
  rmSync(task.folder, { recursive: true, force: true });
});

/** The environment of this process. */
const environment = Object.fromEntries(
  Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
);
/** A busy machine may take longer than the client's default of a minute. */
const PATIENCE_MS = 180_000;

const contentForm = z.array(z.object({ text: z.string() }));

interface Answer {
  readonly isError: boolean;
  readonly text: string;
}

/** @param answer answers questions of the server; without it, the client accepts no questions */
async function connect(answer?: (question: string) => 'accept' | 'decline') {
  const client = new Client({ name: 'test', version: '1' }, { capabilities: answer ? { elicitation: {} } : {} });
  if (answer) client.setRequestHandler(ElicitRequestSchema, ({ params }) => ({ action: answer(params.message) }));
  const env = { ...environment, ROWTUNE_STATE: stateDir };
  await client.connect(new StdioClientTransport({ command: process.execPath, args: [program, 'mcp'], cwd: task.folder, env }));
  clients.push(client);
  const call = async (name: string, input: Record<string, unknown>): Promise<Answer> => {
    const { content, isError = false } = await client.callTool({ name, arguments: input }, undefined, { timeout: PATIENCE_MS });
    const [part] = contentForm.parse(content);
    return { isError: isError === true, text: part?.text ?? '' };
  };
  return { client, call };
}

const problemForm = z.object({
  code: z.string(),
  severity: z.string(),
  line: z.number(),
  column: z.number(),
  endColumn: z.number(),
  suggestion: z.object({ to: z.string() }).optional(),
});
const lintForm = z.object({ ok: z.boolean(), files: z.array(z.object({ problems: z.array(problemForm) })) });

const recipeFile = path.join(task.folder, 'agent.rowtune.yaml');
const mistakes: readonly (readonly [right: string, wrong: string])[] = [
  ['method: spsft', 'metod: spsft'],
  ['r: 8', 'r: "8"'],
  ['max_length: 48', 'max_lenght: 48'],
  ['num_train_epochs: 2', 'num_train_epoch: 2'],
  ['eval_strategy: "no"', 'eval_strategy: "noo"'],
];

/** Replaces the marked text with the suggestion, as an agent would. */
function repair(text: string, { line, column, endColumn, suggestion }: z.infer<typeof problemForm>): string {
  const lines = text.split('\n');
  const old = lines[line - 1] ?? '';
  lines[line - 1] = `${old.slice(0, column - 1)}${suggestion?.to}${old.slice(endColumn - 1)}`;
  return lines.join('\n');
}

test('five mistakes are repaired from the answers alone, then the recipe is estimated, trained and compared', async () => {
  daemon = await startTestDaemon({ stateDir });
  const questions: string[] = [];
  const { client, call } = await connect(question => {
    questions.push(question);
    return 'accept';
  });
  expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(agentToolNames);

  const broken = mistakes.reduce(
    (text, [right, wrong]) => text.replace(right, wrong),
    `${task.text}engine: portable\nmax_steps: 3\nlogging_steps: 1\n`,
  );
  writeFileSync(recipeFile, broken);
  const codes = new Set<string>();
  for (let round = 0; ; round++) {
    expect(round).toBeLessThan(10);
    const { text } = await call('lint_recipe', { recipe: 'agent.rowtune.yaml' });
    const { ok, files } = parseJson(text, lintForm);
    const problem = files[0]?.problems.find(({ severity, suggestion }) => severity === 'error' && suggestion !== undefined);
    expect(problem === undefined).toBe(ok);
    if (problem === undefined) break;
    codes.add(problem.code);
    writeFileSync(recipeFile, repair(readFileSync(recipeFile, 'utf8'), problem));
  }
  expect(codes.size).toBeGreaterThan(1);
  for (const code of codes) expect((await call('explain_diagnostic', { code })).isError).toBe(false);

  const estimate = JSON.parse((await call('estimate_memory', { recipe: 'agent.rowtune.yaml', overrides: ['r=4'] })).text);
  expect(estimate).toMatchObject({ ok: true, method: 'spsft', r: 4 });
  expect(estimate.totalBytes).toBeGreaterThan(estimate.weightsBytes);

  const impossible = await call('start_training', { recipe: 'agent.rowtune.yaml', overrides: ['r=100000'] });
  expect(impossible).toEqual({ isError: true, text: expect.stringContaining('r 100000 is above the rows') });
  expect(questions).toEqual([]);
  const started = JSON.parse((await call('start_training', { recipe: 'agent.rowtune.yaml', overrides: ['output_dir=runs/agent'] })).text);
  expect(questions).toEqual([expect.stringContaining('agent.rowtune.yaml')]);
  expect(started).toMatchObject({ ok: true, detached: true, runDir: path.join(task.folder, 'runs', 'agent') });
  // The run may still wait for its process, or for another job.
  expect((await call('read_metrics', { run: 'runs/agent' })).isError).toBe(false);
  // The folder of runs does not exist before the first run creates it.
  const stateOf = async (): Promise<unknown> => JSON.parse((await call('list_runs', { folder: 'runs' })).text).runs?.[0]?.state;
  await until(async () => (await stateOf()) === 'finished', 'the run is finished', 120_000);
  const metrics = JSON.parse((await call('read_metrics', { run: 'runs/agent', last: 2 })).text);
  expect(metrics.lines).toHaveLength(2);
  expect(metrics.count).toBeGreaterThanOrEqual(3);
  const compared = JSON.parse((await call('compare_runs', { runs: ['runs/agent', 'runs/agent'] })).text);
  expect(compared).toMatchObject({ ok: true, differences: [], runs: [{ step: 3 }, { step: 3 }] });
});

test('nothing is started without consent', async () => {
  const declining = await connect(() => 'decline');
  const declined = await declining.call('start_training', { recipe: 'agent.rowtune.yaml' });
  expect(declined).toEqual({ isError: true, text: 'the user declined: Start Training' });
  const silent = await connect();
  const refused = await silent.call('stop_run', { run: 'runs/agent' });
  expect(refused.isError).toBe(true);
  expect(refused.text).toContain('rowtune mcp --allow-changes');
  // The refusal comes before anything is computed: not even the recipe is read.
  const atOnce = await silent.call('start_training', { recipe: 'nothing.yaml' });
  expect(atOnce.text).toContain('rowtune mcp --allow-changes');
});

test('wrong input is answered, not thrown', async () => {
  const { call } = await connect();
  expect(await call('lint_recipe', { recipe: 'nothing.yaml' })).toMatchObject({
    isError: true,
    text: expect.stringMatching(/the recipe \S+nothing\.yaml does not exist/),
  });
  expect(await call('lint', {})).toMatchObject({ isError: true, text: expect.stringContaining('there is no tool lint;') });
  expect(await call('read_metrics', { run: '.' })).toMatchObject({ isError: true, text: expect.stringContaining('is not a run folder') });
});
