/** `rowtune verify`: compares model folders with the reference numbers next to them. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { compact, table } from '../../protocol/text/format.ts';
import { jobContext } from '../../settings.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { type AddCommand, type CommandContext, type CommandResult, runCommandWork, withCommonOptions } from '../command.ts';
import { type EngineOptions, engineOption } from '../job-command.ts';
import { runWorker } from '../run-worker.ts';

interface Verification {
  readonly engine: string;
  readonly checks: readonly { readonly name: string; readonly error: number | null; readonly tolerance: number; readonly ok: boolean }[];
}

export const addVerify: AddCommand = (program, surroundings) => {
  const command = program
    .command('verify')
    .description('compare model folders with the reference numbers in their golden.json: logits, loss, gradients')
    .argument('<dirs...>', 'folders with config.json, safetensors and golden.json')
    .addOption(engineOption());
  withCommonOptions(command, ['rowtune verify test/golden/llama', 'rowtune verify test/golden/llama --engine portable --json']).action(
    (dirs: string[]) => runCommandWork(command, surroundings, context => verify(context, dirs, command.opts<EngineOptions>())),
  );
};

async function verify(context: CommandContext, dirs: readonly string[], { engine }: EngineOptions): Promise<CommandResult> {
  const { terminal } = context;
  const found: { dir: string; result: Verification }[] = [];
  for (const dir of dirs) {
    if (!existsSync(path.resolve(context.cwd, dir)))
      throw new CliError(`there is no folder ${dir}`, { code: 'model-missing', hint: 'Check the path.' });
    const request = {
      kind: 'verify',
      context: jobContext(context.settings, context.cwd),
      modelDir: path.resolve(context.cwd, dir),
      engine,
    } as const;
    const result = await runWorker({ request, terminal, threads: 0 });
    found.push({ dir, result });
    const rows = result.checks.map(({ name, error, tolerance, ok }) => [
      name,
      error === null ? 'not a number' : compact(error),
      compact(tolerance),
      ok ? 'ok' : 'FAILED',
    ]);
    terminal.print(`${dir} on ${result.engine}\n${table([['check', 'error', 'tolerance', ''], ...rows])}`);
  }
  const checks = found.flatMap(({ dir, result }) =>
    result.checks.map(check => (found.length === 1 ? check : { ...check, name: `${dir}: ${check.name}` })),
  );
  if (checks.length === 0) throw new CliError('golden.json contains nothing to check', { code: 'nothing-to-check' });
  const ok = checks.every(check => check.ok);
  const failed = checks.filter(check => !check.ok).length;
  terminal.print(ok ? `all ${checks.length} checks passed` : `${failed} of ${checks.length} checks failed`);
  const engineNames = [...new Set(found.map(({ result }) => result.engine))].join(', ');
  return { value: { ok, engine: engineNames, checks }, exitStatus: ok ? EXIT.ok : EXIT.failed };
}
