/** Starts a server of this package with which another program communicates over stdin and stdout. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { EXIT } from './cli-error.ts';

/** Runs a bundle of this package to its end, with its standard streams connected to ours. */
export function startBundle(bundle: string, args: readonly string[]): Promise<void> {
  const file = fileURLToPath(new URL(`./${bundle}`, import.meta.url));
  const child = spawn(process.execPath, [file, ...args], { stdio: 'inherit' });
  const pass = (signal: NodeJS.Signals): void => void child.kill(signal);
  process.on('SIGINT', pass).on('SIGTERM', pass);
  return new Promise(resolve => {
    child.once('error', error => {
      process.stderr.write(`error: the server does not start: ${error.message}\n`);
      process.exitCode = EXIT.failed;
      resolve();
    });
    child.once('close', code => {
      process.exitCode = code ?? EXIT.failed;
      resolve();
    });
  });
}
