/** The cost of scoring rows for a run, and the gain over random rows, which need no scores. Pure. */
import { signed, table } from '../report.ts';
import { type ArmName, RANDOM_ROWS } from './arms.ts';
import { compareWith, type TaskRows, testsOf } from './compare.ts';
import { mean } from './statistics.ts';

const SCORED: readonly ArmName[] = ['rows, wanda', 'rows, taylor_row', 'rows, taylor'];

/** Mean processor time of an arm's runs on an otherwise idle machine. */
function secondsOf(found: TaskRows, arm: ArmName): number | undefined {
  const known = testsOf(found, arm).flatMap(({ cpuSeconds, beside }) => (cpuSeconds === undefined || beside ? [] : [cpuSeconds]));
  return known.length > 0 ? mean(known) : undefined;
}

/** A section of the page; empty until two arms of a task have times. */
export function scoringCosts(all: readonly TaskRows[]): string[] {
  const lines = all.flatMap(found => {
    const plain = secondsOf(found, RANDOM_ROWS);
    if (plain === undefined) return [];
    const differences = compareWith(found, RANDOM_ROWS);
    return SCORED.flatMap(arm => {
      const [seconds, difference] = [secondsOf(found, arm), differences.find(each => each.arm === arm)];
      if (seconds === undefined || !difference) return [];
      const { loss } = difference;
      const share = `${(100 * (seconds / plain - 1)).toFixed(0)}%`;
      return [[`\`${found.task.name}\``, arm, plain.toFixed(1), share, `${signed(loss.mean, 3)} ± ${loss.margin.toFixed(3)}`]];
    });
  });
  if (lines.length === 0) return [];
  return [
    `## What scoring costs and gives

Processor time of whole runs, next to those with random rows, and the difference of ln(held-out loss)
to them. Scores are computed anew for every run; with \`importance.cache\` a second run of the same
recipe pays nothing.

${table(['task', 'arm', 'CPU seconds, random rows', 'scoring adds', 'ln(loss) ± 95%'], lines)}`,
  ];
}
