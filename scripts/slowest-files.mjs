/** A reporter of vitest: the files that took longest, with what they import and set up. */

const SHOWN = 10;

const secondsOf = module => {
  const { prepareDuration, collectDuration, setupDuration, duration } = module.diagnostic();
  return (prepareDuration + collectDuration + setupDuration + duration) / 1000;
};

/** The lines that are shown. @param {readonly { file: string, seconds: number }[]} files */
export function slowestLines(files) {
  const slowest = files.toSorted((a, b) => b.seconds - a.seconds).slice(0, SHOWN);
  return [
    `slowest ${slowest.length} of ${files.length} files`,
    ...slowest.map(({ file, seconds }) => `${seconds.toFixed(1).padStart(8)} s  ${file}`),
  ];
}

export default class SlowestFiles {
  onTestRunEnd(modules) {
    const files = modules.map(module => ({ file: module.relativeModuleId, seconds: secondsOf(module) }));
    process.stdout.write(`\n${slowestLines(files).join('\n')}\n`);
  }
}
