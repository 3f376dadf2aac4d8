/** Tests `rowtune push` with a local hub: it uploads all files of an export and nothing else. */
import { appendFileSync, cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { writeManifest } from '../../../trainer/artifact/export-manifest.ts';
import { localHub, WRITE_TOKEN } from '../../unit/hub/hub-repositories.ts';
import { cli, cliJson, golden, withFolder } from './run-cli.ts';

test('pushes what an export wrote, by the token of a login, and says what it leaves out', () =>
  withFolder(async folder => {
    const hub = await localHub();
    cpSync(join(golden, 'llama'), join(folder, 'model'), { recursive: true });
    writeFileSync(join(folder, 'model', 'README.md'), '# Tiny');
    await writeManifest(join(folder, 'model'), 'merged');
    appendFileSync(join(folder, 'model', 'README.md'), '\nEdited by hand.');
    writeFileSync(join(folder, 'model', 'notes.txt'), 'private');
    mkdirSync(join(folder, 'hf'));
    writeFileSync(join(folder, 'hf', 'token'), `${WRITE_TOKEN}\n`);
    const env = { HF_ENDPOINT: hub.endpoint, HF_HOME: join(folder, 'hf'), HF_TOKEN: '' };
    const run = (...args: string[]) => cliJson(['push', 'model', ...args], { cwd: folder, env });

    const planned = await run('tiny', '--dry-run');
    expect([planned.status, planned.value]).toMatchObject([
      0,
      { ok: true, dryRun: true, repo: 'ada/tiny', visibility: 'private', isNew: true },
    ]);
    expect(hub.repositories.size).toBe(0);
    const pushed = await run('tiny', '--message', 'First');
    expect([pushed.status, pushed.value]).toMatchObject([
      0,
      { ok: true, dryRun: false, url: `${hub.endpoint}/ada/tiny`, commit: expect.any(String) },
    ]);
    expect(pushed.stderr).toMatch(/warning: not part of the export, so not pushed: notes\.txt/);
    expect(pushed.stderr).toMatch(/upload (.+) of \1$/m);
    const files = hub.repositories.get('ada/tiny')?.files ?? {};
    expect(files['README.md']?.toString()).toBe('# Tiny\nEdited by hand.');
    expect([Object.keys(files)]).toEqual([expect.arrayContaining(['config.json', 'model.safetensors', 'rowtune_export.json'])]);
    expect(Object.keys(files)).not.toContain('notes.txt');
    const again = await cli(['push', 'model', 'tiny'], { cwd: folder, env });
    expect([again.status, again.stdout]).toEqual([0, expect.stringContaining('the hub has all files already')]);

    const refusal = async (code: string, args: readonly string[], overrides: Readonly<Record<string, string>> = {}) => {
      const { status, value } = await cliJson(['push', ...args], { cwd: folder, env: { ...env, ...overrides } });
      expect([status, value]).toMatchObject([1, { ok: false, error: { code, hint: expect.any(String) } }]);
    };
    await refusal('no-export', ['.', 'tiny']);
    await refusal('no-token', ['model', 'tiny'], { HF_HOME: folder });
    await refusal('offline', ['model', 'tiny'], { HF_HUB_OFFLINE: '1' });
    appendFileSync(join(folder, 'model', 'config.json'), ' ');
    await refusal('changed-export', ['model', 'tiny']);
  }));
