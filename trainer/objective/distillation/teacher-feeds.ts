/** The teacher's feeds for a batch. */
import type { HostArray } from '../../graph/types.ts';
import type { TopTokens } from './top-tokens.ts';

/**
 * Feeds: `teacherIds` int32 and `teacherLogs` [targets, k]. Padding gets k tokens of equal probability, so that all values are finite.
 * @param known values of the first targets
 */
export function teacherFeeds({ ids, logs }: TopTokens, k: number, targets: number): Record<string, HostArray> {
  const [teacherIds, teacherLogs] = [new Int32Array(targets * k), new Float32Array(targets * k).fill(-Math.log(k))];
  teacherIds.set(ids);
  teacherLogs.set(logs);
  for (let at = ids.length; at < teacherIds.length; at++) teacherIds[at] = at % k;
  return { teacherIds, teacherLogs };
}
