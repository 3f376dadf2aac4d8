/** A reporter of vitest that writes how long each file took, with its imports and hooks, which the JSON report leaves out. */
import { writeFileSync } from 'node:fs';

/** Returns the place of the times of a JSON report. */
export const timesOf = report => `${report}.times`;

const MS = 1000;

export default class FileTimes {
  onInit(vitest) {
    this.report = vitest.config.outputFile.json;
  }

  onTestRunEnd(modules) {
    const times = modules.map(module => {
      const { collectDuration, duration } = module.diagnostic();
      return [module.moduleId, (collectDuration + duration) / MS];
    });
    writeFileSync(timesOf(this.report), JSON.stringify(Object.fromEntries(times)));
  }
}
