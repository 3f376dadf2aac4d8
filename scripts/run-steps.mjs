/** Runs steps by name, one after the other: `node scripts/run-steps.mjs ensureVulkan ensureSlurm`. */
import { ensurePython } from './python-venv.mjs';
import { cacheFolder, ensureCardCompilers, ensureCheckers, ensureEngine, ensurePjrt, ensureSlurm, ensureVulkan, say } from './steps.mjs';

/** Creates the Python environment that exports are compared with, if possible; otherwise, these comparisons are skipped. */
function ensureReference() {
  try {
    ensurePython({ cacheDir: cacheFolder(), log: say });
  } catch (error) {
    say(`continuing without Transformers and PEFT: ${error.message}`);
  }
}

const steps = { ensureEngine, ensurePjrt, ensureCardCompilers, ensureCheckers, ensureReference, ensureVulkan, ensureSlurm };
for (const name of process.argv.slice(2)) steps[name]();
