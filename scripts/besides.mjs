/**
 * A reporter of vitest that writes what the JSON report leaves out: how long each file took, with its imports and hooks, and the errors
 * outside of tests, which make a run fail although every test passed.
 */
import { writeFileSync } from 'node:fs';

/** Returns the place of what this reporter writes next to a JSON report. */
export const besidesOf = report => `${report}.besides`;

const MS = 1000;

export default class Besides {
  onInit(vitest) {
    this.report = vitest.config.outputFile.json;
  }

  onTestRunEnd(modules, unhandledErrors) {
    const seconds = modules.map(module => {
      const { collectDuration, duration } = module.diagnostic();
      return [module.moduleId, (collectDuration + duration) / MS];
    });
    const errors = unhandledErrors.map(({ name, message, VITEST_TEST_PATH: file }) => ({ file, message: `${name}: ${message}` }));
    writeFileSync(besidesOf(this.report), JSON.stringify({ seconds: Object.fromEntries(seconds), errors }));
  }
}
