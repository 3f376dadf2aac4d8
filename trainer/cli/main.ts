/** Entry of the command line: reads the environment once, and maps usage errors to exit status 2. */
import os from 'node:os';
import { type Command, CommanderError } from 'commander';
import { codeOf } from '../protocol/error-facts.ts';
import { resolveSettings } from '../settings.ts';
import { EXIT } from './cli-error.ts';
import { declareProgram } from './program.ts';

const settings = resolveSettings({ env: process.env, platform: process.platform, home: os.homedir() });
const program = await declareProgram({ settings, cwd: process.cwd() }, process.argv[2]);
throwOnExit(program);

// A reader that closes the pipe (`| head`) is not an error.
process.stdout.on('error', error => {
  if (codeOf(error) !== 'EPIPE') throw error;
  process.exit(EXIT.ok);
});

// If the reader of stderr is gone, nobody can be notified; the command continues.
process.stderr.on('error', () => undefined);

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (process.exitCode === EXIT.usage && process.argv.includes('--json'))
    process.stdout.write(`${JSON.stringify({ ok: false, error: { code: 'usage', message: error.message.replace(/^error: /, '') } })}\n`);
}

/** Makes commander throw; otherwise it would end the process itself, with its own status. */
function throwOnExit(command: Command): void {
  command.exitOverride();
  for (const child of command.commands) throwOnExit(child);
}
