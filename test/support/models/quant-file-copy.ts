/** A copy of a golden folder of Model Optimizer in which its own file says how weights are quantized, as its older versions wrote it. */
import { cp, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { GOLDEN, readRecord } from '../files/read-json.ts';
import { temporaryFolder } from '../machine/temporary-folder.ts';

const golden = path.join(GOLDEN, 'qwen3_modelopt');
const { quantization_config: how, ...plain } = readRecord(path.join(golden, 'config.json'));

/** The config without its `quantization_config`. */
export const PLAIN_CONFIG: object = plain;
export const QUANT = { quant_algo: 'MIXED_PRECISION', kv_cache_quant_algo: 'FP8', exclude_modules: ['lm_head'] };
export const QUANT_HOW = how;

/** @param quantization the value of that key in hf_quant_config.json @param config the content of config.json */
export async function quantFileCopy(quantization: unknown = QUANT, config = PLAIN_CONFIG): Promise<string> {
  const folder = await temporaryFolder();
  await cp(golden, folder, { recursive: true });
  await writeFile(path.join(folder, 'config.json'), JSON.stringify(config));
  const file = { producer: { name: 'modelopt', version: '0.23.0' }, quantization };
  await writeFile(path.join(folder, 'hf_quant_config.json'), JSON.stringify(file));
  return folder;
}
