/** The command line's entry: reads the surroundings once, and turns a wrong usage into exit status 2. */
import os from 'node:os';
import { type Command, CommanderError } from 'commander';
import { resolveSettings } from '../settings.ts';
import { EXIT } from './cli-error.ts';
import { declareProgram } from './program.ts';

const settings = resolveSettings({ env: process.env, platform: process.platform, home: os.homedir() });
const program = declareProgram({ settings, cwd: process.cwd() });
throwOnExit(program);

// A reader that goes away (`| head`) is no fault.
process.stdout.on('error', error => {
  if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error;
  process.exit(EXIT.ok);
});

// There is nobody to tell what a reader of stderr that went away has missed; the command goes on.
process.stderr.on('error', () => undefined);

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (process.exitCode === EXIT.usage && process.argv.includes('--json'))
    process.stdout.write(`${JSON.stringify({ ok: false, error: { code: 'usage', message: error.message } })}\n`);
}

/** commander would end the process itself, with its own status. */
function throwOnExit(command: Command): void {
  command.exitOverride();
  for (const child of command.commands) throwOnExit(child);
}
