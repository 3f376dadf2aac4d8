/** Tests that a daemon started in the background by the command line inherits nothing that changes how it, or a job, computes. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { cliJson } from '../../e2e/cli/run-cli.ts';
import { makeStateDir } from '../../support/daemon/daemon.ts';

const stateDir = makeStateDir();
const cacheDir = mkdtempSync(join(tmpdir(), 'rowtune-cache-'));
const env = {
  ROWTUNE_STATE: stateDir,
  ROWTUNE_CACHE: cacheDir,
  HF_TOKEN: 'hf_secret',
  TF_XLA_FLAGS: '--tf_xla_auto_jit=2',
  UV_THREADPOOL_SIZE: '1',
};
afterAll(async () => {
  await cliJson(['daemon', 'stop'], { env });
  for (const each of [stateDir, cacheDir]) rmSync(each, { recursive: true, force: true });
});

test.runIf(process.platform === 'linux')(
  'the daemon clears variables that change engines and Node, and names them to its workers',
  async () => {
    const { pid } = (await cliJson(['daemon', 'start'], { env })).value;
    const inherited = new Map(
      readFileSync(`/proc/${pid}/environ`, 'utf8')
        .split('\0')
        .map(line => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    );
    expect([inherited.get('TF_XLA_FLAGS'), inherited.get('UV_THREADPOOL_SIZE')]).toEqual([undefined, undefined]);
    expect(inherited.get('ROWTUNE_CLEARED_VARIABLES')?.split(',')).toEqual(expect.arrayContaining(['TF_XLA_FLAGS', 'UV_THREADPOOL_SIZE']));
    expect([inherited.get('HF_TOKEN'), inherited.get('ROWTUNE_CACHE')]).toEqual(['hf_secret', cacheDir]);
  },
);
