/** Tests `npm run demo` and Ctrl-C: the training handles it, and the demo waits. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { required } from '../../../trainer/narrow.ts';

const script = new URL('../../../scripts/demo/wait-for.mjs', import.meta.url).href;
/** A training that ends with status 7 on Ctrl-C. */
const training = "process.on('SIGINT', () => process.exit(7)); setInterval(() => undefined, 1000); console.log('ready')";
/** A demo that ends with the training's status, and no longer listens by then. */
const demo = `
  const { waitFor } = await import(${JSON.stringify(script)});
  const status = waitFor(process.execPath, ['-e', ${JSON.stringify(training)}]);
  process.exitCode = process.listenerCount('SIGINT') === 0 ? status : 1;
`;

test.skipIf(process.platform === 'win32')('Ctrl-C reaches the program that is waited for, whose status is returned', async () => {
  // A new process group, which gets the signal as from a terminal.
  const child = spawn(process.execPath, ['--input-type=module', '-e', demo], { detached: true, stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  process.kill(-required(child.pid, 'a process'), 'SIGINT');
  expect(await once(child, 'exit')).toEqual([7, null]);
});
