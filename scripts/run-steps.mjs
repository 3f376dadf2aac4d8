/** Runs steps by name, one after the other: `node scripts/run-steps.mjs ensureVulkan ensureSlurm`. */
import { ensureCardCompilers, ensureEngine, ensurePjrt, ensureSlurm, ensureVulkan } from './steps.mjs';

const steps = { ensureEngine, ensurePjrt, ensureCardCompilers, ensureVulkan, ensureSlurm };
for (const name of process.argv.slice(2)) steps[name]();
