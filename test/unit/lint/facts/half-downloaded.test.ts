/** Tests what lint says of model folders that lack a shard, if the weights are codes whose scales may be in another shard. */
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { FolderCache } from '../../../../trainer/lint/facts/folder-facts.ts';
import { SHARDS, shardedCopy } from '../../../support/models/sharded-copy.ts';
import { goldenPath } from '../../hub/model-bytes.ts';

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
  'qwen3_compressed',
  'qwen3_compressed_mx',
  'qwen3_gptq',
  'qwen3_gptq3',
  'qwen3_awq',
])('%s', async golden => {
  const folder = await shardedCopy(goldenPath(golden));
  const whole = await new FolderCache().look(folder);
  expect(whole.damage).toBeUndefined();
  expect(whole.tensors?.has('model.layers.0.self_attn.q_proj.weight')).toBe(true);
  for (const shard of SHARDS) {
    const half = await shardedCopy(goldenPath(golden));
    await rm(path.join(half, shard));
    const { missingShards, damage, tensors } = await new FolderCache().look(half);
    expect({ missingShards, damage, tensors }).toEqual({ missingShards: [shard], damage: undefined, tensors: undefined });
  }
});
