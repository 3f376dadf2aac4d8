/**
 * Tests the GPU kit on a processor: builds it, unpacks it into an empty folder, and runs its command with only the documented programs on
 * the PATH. PyTorch's side is left out, because the reduced environment lacks its packages. Needs `rowtune engine install --variant
 * pjrt-cpu`.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeGpuKit } from '../../../scripts/gpu-kit.mjs';
import { listPjrt, pjrtLibrary } from '../../../trainer/engine/install/pjrt-folder.ts';
import { runCommand } from '../../../trainer/engine/install/run-command.ts';
import { cacheDir } from '../../support/cache-dir.ts';
import { describeWith } from '../../support/describe-with.ts';

const plugin = listPjrt(cacheDir).find(({ manifest }) => manifest.variant === 'pjrt-cpu');
const canRun = process.platform === 'linux' && process.arch === 'x64';
const missing = 'run rowtune engine install --variant pjrt-cpu on Linux x64';
const scratch = mkdtempSync(path.join(os.tmpdir(), 'rowtune-gpu-kit-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** The programs that docs/how-to/pjrt.md names, and those that g++ and the script start. */
const NEEDED = ['sh', 'dirname', 'taskset', 'g++', 'as', 'ld'];

async function programs(): Promise<string> {
  const folder = path.join(scratch, 'path');
  mkdirSync(folder);
  for (const name of NEEDED) {
    const { output } = await runCommand('sh', ['-c', `command -v ${name}`]);
    symlinkSync(output.trim(), path.join(folder, name));
  }
  return folder;
}

describeWith('the kit for a GPU', canRun ? plugin : undefined, missing, installed => {
  const kit = path.join(scratch, 'machine', 'rowtune-gpu-kit');
  const out = path.join(scratch, 'out');
  let environment: Record<string, string> = {};
  const run = (...args: string[]) => runCommand(path.join(kit, 'run'), args, { cwd: scratch, environment });

  beforeAll(async () => {
    const archive = await makeGpuKit(path.join(scratch, 'made'));
    expect(statSync(archive).size).toBeLessThan(60e6);
    mkdirSync(path.dirname(kit));
    expect(await runCommand('tar', ['xzf', archive, '-C', path.dirname(kit)])).toMatchObject({ status: 0 });
    environment = { PATH: await programs(), HOME: path.join(scratch, 'home') };
  });

  it('installs a plugin, checks it and measures a tiny model, with no network and no Node of the machine', async () => {
    const trial = ['--tiny', '--device', 'cpu', '--plugin', pjrtLibrary(installed), '--out', out];
    const { status, output } = await run(...trial, '--python', path.join(scratch, 'no-python'));
    expect(output).toContain('the other side is not measured');
    expect(output).not.toContain('images');
    const text = readFileSync(path.join(out, 'gpu-trial.md'), 'utf8');
    expect(text).toContain('GPU: unmeasured.');
    expect(text).toMatch(/- Operations, .*: \d{2,} passed, 0 failed/);
    expect(text).toMatch(/- Model folders, .*: 1 passed, 0 failed/);
    expect(text).toContain('- Attention as one kernel of the device: it has none.');
    for (const measured of ['lora r16', 'columns r\\d+', 'full']) expect(text).toMatch(new RegExp(`\\| rowtune ${measured}`));
    expect(text).toContain('## Failed\n\n- PyTorch + PEFT: no Python with PyTorch');
    expect(status).toBe(1);
    // Existing measurements are reused; no process starts again.
    const again = await run(...trial, '--resume', '--python', path.join(scratch, 'no-python'));
    expect(again.output.match(/ {2}kept$/gm)).toHaveLength(3);
  });

  it('measures where a check ends its own process, and reports that with what was checked before', async () => {
    const operations = { passed: 3, failed: [], left: 0, seconds: 1 };
    writeFileSync(
      path.join(kit, 'dist', 'bench', 'smoke.mjs'),
      `process.stdout.write(${JSON.stringify(`${JSON.stringify({ engine: 'an engine', operations })}\n`)}, () => process.kill(process.pid, 'SIGSEGV'));`,
    );
    const trial = ['--tiny', '--device', 'cpu', '--plugin', pjrtLibrary(installed), '--out', out];
    const { status } = await run(...trial, '--python', path.join(scratch, 'no-python'));
    expect(status).toBe(1);
    const text = readFileSync(path.join(out, 'gpu-trial.md'), 'utf8');
    expect(text).toMatch(/- Operations, .*: 3 passed, 0 failed/);
    expect(text).toContain('- Model folders, next to Transformers: not run.');
    expect(text).toMatch(/## Failed\n\n- the checks ended with status/);
    expect(text).toContain('| rowtune lora r16');
  });

  it('says what is wrong with its arguments, and what it needs where there is no GPU', async () => {
    expect(await run('--minutes', 'many')).toMatchObject({ status: 2, output: expect.stringContaining("not 'many'") });
    writeFileSync(path.join(scratch, 'path', 'nvidia-smi'), '#!/bin/sh\nexit 9\n', { mode: 0o755 });
    expect(await run()).toMatchObject({ status: 1, output: expect.stringContaining('nvidia-smi finds none') });
  });
});
