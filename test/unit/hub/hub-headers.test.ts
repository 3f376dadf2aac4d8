/** Tests headers over range requests to a real local server: only the necessary bytes, and a message for each failure. */

import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { readHubHeaders } from '../../../trainer/hub/hub-headers.ts';
import { readModelHeaders } from '../../../trainer/hub/open-model.ts';
import { portOf } from '../../support/machine/port-of.ts';
import { quantFileCopy } from '../../support/models/quant-file-copy.ts';
import { goldenPath, temporaryFolder } from './model-bytes.ts';

const COMMIT = 'd'.repeat(40);
const CONFIG = readFileSync(goldenPath('llama/config.json'));

/** A file with a header longer than the first request: many tensors of one element each, then one of `more` bytes. */
function longFile(count: number, more: number): { file: Buffer; headerBytes: number } {
  const entries = Array.from({ length: count }, (_, i) => [
    `model.layers.${i}.self_attn.some_long_name.weight`,
    { dtype: 'F32', shape: [1], data_offsets: [4 * i, 4 * i + 4] },
  ]);
  entries.push(['large', { dtype: 'F32', shape: [more / 4], data_offsets: [4 * count, 4 * count + more] }]);
  const header = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return { file: Buffer.concat([length, header, Buffer.alloc(4 * count + more)]), headerBytes: header.length };
}

/** A file of torch.save with `more` unused bytes before its table of contents. */
function paddedTorchFile(more: number): { file: Buffer; size: number } {
  const whole = readFileSync(goldenPath('torch/linear.bin'));
  const end = whole.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'));
  const wide = whole.lastIndexOf(Buffer.from('PK\x06\x06', 'latin1'));
  const table = whole.indexOf(Buffer.from('PK\x01\x02', 'latin1'));
  const file = Buffer.concat([whole.subarray(0, table), Buffer.alloc(more), whole.subarray(table)]);
  file.writeUInt32LE(table + more, end + more + 16);
  if (wide > 0) {
    file.writeBigUInt64LE(BigInt(table + more), wide + more + 48);
    file.writeBigUInt64LE(BigInt(wide + more), wide + more + 56 + 8);
  }
  return { file, size: file.length };
}

async function hub(files: Readonly<Record<string, Buffer>>, ranges = true) {
  let sent = 0;
  const server = createServer((request, response) => {
    const url = request.url ?? '';
    if (url.startsWith('/api/models/org/model/revision/main')) {
      const siblings = Object.entries(files).map(([rfilename, { length }]) => ({
        rfilename,
        size: length,
        blobId: 'a'.repeat(40),
        ...(rfilename.endsWith('.safetensors') ? { lfs: { size: length, sha256: 'b'.repeat(64) } } : {}),
      }));
      return void response.end(JSON.stringify({ sha: COMMIT, siblings }));
    }
    const content = files[url.split('/').at(-1) ?? ''];
    if (!content) return void response.writeHead(404).end();
    const [, from = '0', to = ''] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    const part = ranges && to !== '' ? content.subarray(Number(from), Number(to) + 1) : content;
    sent += part.length;
    response.writeHead(ranges && to !== '' ? 206 : 200, { 'content-length': part.length });
    response.end(part);
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const endpoint = `http://127.0.0.1:${portOf(server)}`;
  return { options: { cacheDir: temporaryFolder(), endpoint, retryDelayMs: 1 }, sent: () => sent };
}

test('equal those of the local files', async () => {
  const { options } = await hub({ 'config.json': CONFIG, 'model.safetensors': readFileSync(goldenPath('llama/model.safetensors')) });
  const found = await readHubHeaders('org/model', options);
  const local = await readModelHeaders(goldenPath('llama'));
  expect(found.config).toEqual(local.config);
  expect(new Map(found.tensors)).toEqual(new Map(local.tensors));
});

test.each([
  'qwen3_fp8_exponents',
  'qwen3_modelopt',
  'qwen3_auto_round',
  'qwen3_bnb4',
  'qwen3_bnb8',
  'qwen3_mlx',
  'qwen3_mlx_floats',
  'qwen3_moe_mlx',
  'gpt_oss_mlx',
  'deepseek_v3_mlx',
  'qwen3_next_mlx',
  'lfm2_moe_mlx',
  'granite4_mlx',
  'nemotron_h_mlx',
  'qwen3_compressed',
  'qwen3_compressed_mx',
  'qwen3_gptq',
  'qwen3_gptq3',
  'qwen3_awq',
])('coded weights have the shapes that they stand for: %s', async folder => {
  const file = readFileSync(goldenPath(`${folder}/model.safetensors`));
  const { options } = await hub({ 'config.json': readFileSync(goldenPath(`${folder}/config.json`)), 'model.safetensors': file });
  const found = await readHubHeaders('org/model', options);
  const local = await readModelHeaders(goldenPath(folder));
  expect(new Map(found.tensors)).toEqual(new Map(local.tensors));
});

test('a file of Model Optimizer says what config.json does not', async () => {
  const folder = await quantFileCopy();
  const names = ['config.json', 'hf_quant_config.json', 'model.safetensors'];
  const { options } = await hub(Object.fromEntries(names.map(name => [name, readFileSync(path.join(folder, name))])));
  const [found, local] = [await readHubHeaders('org/model', options), await readModelHeaders(folder)];
  expect(found.config).toEqual(local.config);
  expect(new Map(found.tensors)).toEqual(new Map(local.tensors));
  expect(found.tensors.size).toBe(14);
});

test('of a large file only the header is asked for', async () => {
  const { file, headerBytes } = longFile(2000, 8_000_000);
  expect(headerBytes).toBeGreaterThan(64 * 1024);
  const { options, sent } = await hub({ 'config.json': CONFIG, 'model.safetensors': file });
  expect((await readHubHeaders('org/model', options)).tensors.size).toBe(2001);
  expect(sent()).toBe(8 + headerBytes + CONFIG.length);
});

test.each(['deberta_torch', 'bert_torch', 'llama_torch'])('of files of torch.save too: %s', async folder => {
  const files = Object.fromEntries(readdirSync(goldenPath(folder)).map(name => [name, readFileSync(goldenPath(`${folder}/${name}`))]));
  const { options } = await hub(files);
  const found = await readHubHeaders('org/model', options);
  const local = await readModelHeaders(goldenPath(folder));
  expect(found.config).toEqual(local.config);
  expect(new Map(found.tensors)).toEqual(new Map(local.tensors));
});

test('of a large file of torch.save its ends are asked for', async () => {
  const { file, size } = paddedTorchFile(4_000_000);
  const { options, sent } = await hub({ 'config.json': CONFIG, 'pytorch_model.bin': file });
  expect([...(await readHubHeaders('org/model', options)).tensors.keys()]).toEqual(['weight', 'bias']);
  expect(size).toBeGreaterThan(4_000_000);
  expect(sent()).toBeLessThan(4 * 128 * 1024);
});

test('a server without ranges, a damaged file and a model without safetensors are refused', async () => {
  const { file } = longFile(2000, 4000);
  const whole = await hub({ 'config.json': CONFIG, 'model.safetensors': file }, false);
  await expect(readHubHeaders('org/model', whole.options)).rejects.toThrow(/does not answer range requests/);
  const broken = await hub({ 'config.json': CONFIG, 'model.safetensors': Buffer.alloc(100, 0xff) });
  await expect(readHubHeaders('org/model', broken.options)).rejects.toThrow(/not a safetensors file/);
  const gguf = await hub({ 'config.json': CONFIG, 'model.gguf': Buffer.alloc(10) });
  await expect(readHubHeaders('org/model', gguf.options)).rejects.toThrow(/has no config.json with safetensors/);
  const offline = { ...gguf.options, offline: true };
  await expect(readHubHeaders('org/model', offline)).rejects.toThrow(/network is switched off/);
});
