/** A sweep as text: its runs, best first, and how to continue with the best one. */

import { describeSettings, metricKey, type SweepRun, type SweepStatus, settingValueText } from '../../protocol/run/sweep.ts';
import { compact, counted, table } from '../../protocol/text/format.ts';

export function sweepTable({ runs, metric, best, sweepDir, state }: SweepStatus, place: (folder: string) => string): string {
  const names = [...new Set(runs.flatMap(({ settings }) => Object.keys(settings)))];
  const isSpread = runs.some(({ node }) => node !== undefined);
  const rows = runs.map(run => [
    run.id,
    ...names.map(name => (Object.hasOwn(run.settings, name) ? settingValueText(run.settings[name]) : '')),
    run.value === undefined ? '' : compact(run.value),
    run.loss === undefined ? '' : compact(run.loss),
    run.totalSteps === 0 ? '' : `${run.step}/${run.totalSteps}`,
    labelOf(run.state, state),
    ...(isSpread ? [run.node ?? '', run.log === undefined ? '' : place(run.log)] : []),
  ]);
  const found = runs.find(({ id }) => id === best);
  return [
    table([['run', ...names, metricKey(metric), 'loss', 'step', 'state', ...(isSpread ? ['node', 'log'] : [])], ...rows]),
    ...reasonLines(runs, state),
    found === undefined
      ? `no run is finished; the runs are in ${place(sweepDir)}`
      : `best: run ${found.id} (${describeSettings(found.settings)}) in ${place(found.runDir)}`,
  ].join('\n\n');
}

/** The reasons of failures, which are too wide for a column; runs with the same reason share a line. */
function reasonLines(runs: readonly SweepRun[], ofSweep: SweepStatus['state']): string[] {
  const ids = new Map<string, string[]>();
  for (const { id, state, failure } of runs) {
    const reason = `${labelOf(state, ofSweep)}: ${failure}`;
    if (failure !== undefined) ids.set(reason, [...(ids.get(reason) ?? []), id]);
  }
  const lines = [...ids].map(([reason, of]) => `${of.length === 1 ? 'run' : 'runs'} ${of.join(', ')} ${reason}`);
  return lines.length === 0 ? [] : [lines.join('\n')];
}

/** The number of runs in each state: 3 finished, 5 paused, 1 failed. */
export function countStates({ runs, state: ofSweep }: Pick<SweepStatus, 'runs' | 'state'>): string {
  const counts = new Map<string, number>();
  for (const { state } of runs) {
    const label = labelOf(state, ofSweep);
    counts.set(label, (counts.get(label) ?? 0) + 1);
  }
  return `${counted(runs.length, 'run')}: ${[...counts].map(([state, count]) => `${count} ${state}`).join(', ')}`;
}

/** The label of a run's state. A paused run counts as stopped early once the sweep has finished. */
const labelOf = (state: SweepRun['state'], ofSweep: SweepStatus['state']): string =>
  state === 'paused' && ofSweep === 'finished' ? 'stopped early' : state === 'waiting' ? 'pending' : state;
