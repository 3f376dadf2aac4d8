/** Tests model folders made to exhaust the process that lists them: the daemon names what is wrong with each, and continues to answer. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { DaemonClient } from '../../../trainer/rpc/connection/connect.ts';
import type { Daemon } from '../../../trainer/rpc/daemon.ts';
import { connectTo, startTestDaemon } from '../../support/daemon/daemon.ts';
import { hostileRecipes } from '../../support/hostile-recipes.ts';

const folder = mkdtempSync(join(tmpdir(), 'rowtune-hostile-'));
let daemon: Daemon;
let client: DaemonClient;

beforeAll(async () => {
  daemon = await startTestDaemon();
  client = await connectTo(daemon);
});
afterAll(async () => {
  client.close();
  await daemon.stop();
  rmSync(folder, { recursive: true, force: true });
});

function makeModel(name: string, config: string, file: string, bytes: string): void {
  mkdirSync(join(folder, name));
  writeFileSync(join(folder, name, 'config.json'), config);
  writeFileSync(join(folder, name, file), bytes, 'latin1');
}

test('are listed with their problems', async () => {
  const config = '{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}';
  const pickle = `\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.\x80\x02](${'K\x01K\x02\x86'.repeat(50_000)}eq\0`;
  makeModel('pickle', config, 'pytorch_model.bin', `${pickle}${'ccollections\nOrderedDict\nh\0\x85R0'.repeat(4000)}}.`);
  const header = `{"a": ${'['.repeat(80_000)}`;
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  makeModel('header', config, 'model.safetensors', length.toString('latin1') + header);
  makeModel('config', '['.repeat(80_000), 'model.safetensors', '');
  const { models } = await client.request('listModels', { folders: [folder] });
  const problems = Object.fromEntries(models.map(({ name, problem }) => [name, problem]));
  expect(problems).toMatchObject({
    pickle: expect.stringContaining('makes more values from those it has than it has bytes'),
    header: expect.stringContaining('nested deeper than 64'),
    config: expect.stringContaining('nested deeper than 64'),
  });
  expect(await client.request('daemonStatus', {})).toMatchObject({ pid: process.pid });
});

test.each(['brackets', 'dashes', 'doubling aliases', 'numbers with exponents'])(
  'a recipe of %s is refused, and the next request answered',
  async name => {
    const recipe = { text: hostileRecipes[name] ?? '', fileName: 'a.rowtune.yaml', baseDir: folder };
    await expect(client.request('estimate', { recipe })).rejects.toMatchObject({ code: 'bad-recipe' });
    expect(await client.request('daemonStatus', {})).toMatchObject({ pid: process.pid });
  },
);
