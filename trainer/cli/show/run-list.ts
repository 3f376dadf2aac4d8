/** The table of `rowtune runs`, with one line per run. */
import type { RunInfo } from '../../protocol/messages/rpc-messages.ts';
import { isOnCluster, placeText } from '../../protocol/run/cluster.ts';
import { compact, duration, table } from '../../protocol/text/format.ts';
import { shownPath } from '../job-command.ts';

/** Maximum length of a reason next to a state: an error may list many tensors on many lines. */
const MAX_REASON = 60;

/** Returns the table, with a note on where to find the full text of a reason that was cut. */
export function runList(runs: readonly RunInfo[], cwd: string): string {
  const rows = runs.map(run => row(run, cwd));
  const shown = table([['run', 'state', 'step', 'loss', 'held-out loss', 'last update', 'folder', ''], ...rows]);
  return rows.some(([, state]) => state?.endsWith('…)'))
    ? `${shown}\nReasons that are cut off are complete in the log.txt of their run.`
    : shown;
}

function stateText({ state, reason, cluster }: RunInfo): string {
  if (cluster !== undefined && isOnCluster(cluster)) return placeText(cluster);
  if (reason === undefined) return state;
  const line = reason.replaceAll(/\s+/g, ' ');
  if (line.startsWith(state) && line.length <= MAX_REASON) return line;
  return `${state} (${line.length > MAX_REASON ? `${line.slice(0, MAX_REASON)}…` : line})`;
}

function row(run: RunInfo, cwd: string): string[] {
  const { name, step, totalSteps, loss, metrics, ageSeconds, runDir, tags = [], pinned, archived } = run;
  const held = metrics?.eval_loss;
  return [
    name,
    stateText(run),
    totalSteps === 0 ? '' : `${step}/${totalSteps}`,
    loss === undefined ? '' : compact(loss),
    held === undefined ? '' : compact(held),
    `${duration(ageSeconds)} ago`,
    shownPath(runDir, cwd),
    [...(pinned ? ['pinned'] : []), ...(archived ? ['archived'] : []), ...tags.map(tag => `#${tag}`)].join(' '),
  ];
}
