/** A sweep as text: its runs, best first, and what to do with the best one. */
import { compact, counted, table } from '../protocol/format.ts';
import { describeSettings, metricKey, type SweepRun, type SweepStatus, settingValueText } from '../protocol/sweep.ts';

export function sweepTable({ runs, metric, best, sweepDir }: SweepStatus, place: (folder: string) => string): string {
  const names = [...new Set(runs.flatMap(({ settings }) => Object.keys(settings)))];
  const rows = runs.map(run => [
    run.id,
    ...names.map(name => (Object.hasOwn(run.settings, name) ? settingText(run.settings[name]) : '')),
    run.value === undefined ? '' : compact(run.value),
    run.loss === undefined ? '' : compact(run.loss),
    run.totalSteps === 0 ? '' : `${run.step}/${run.totalSteps}`,
    stateText(run),
  ]);
  const found = runs.find(({ id }) => id === best);
  return [
    table([['run', ...names, metricKey(metric), 'loss', 'step', 'state'], ...rows]),
    found === undefined
      ? `no run is finished; the runs are in ${place(sweepDir)}`
      : `best: run ${found.id} (${describeSettings(found.settings)}) in ${place(found.runDir)}`,
  ].join('\n\n');
}

/** 3 finished, 5 paused, 1 failed */
export function countStates({ runs }: Pick<SweepStatus, 'runs'>): string {
  const counts = new Map<string, number>();
  for (const { state } of runs) counts.set(state, (counts.get(state) ?? 0) + 1);
  return `${counted(runs.length, 'run')}: ${[...counts].map(([state, count]) => `${count} ${state}`).join(', ')}`;
}

const settingText = (value: unknown): string => (typeof value === 'number' ? compact(value) : settingValueText(value));

const stateText = ({ state, failure }: SweepRun): string => (failure === undefined ? state : `${state}: ${failure}`);
