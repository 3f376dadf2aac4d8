/** Runs a signature on as many devices as the parts of a batch have. */
import type { Session } from '../engine/engine.ts';
import { OWN_PART, ownPartFeed } from '../graph/graph.ts';
import type { HostArray } from '../graph/types.ts';

type Values = Readonly<Record<string, HostArray>>;

/**
 * @param feeds those of each device, but for the number of its part; of one, the signature has no replicas
 * @returns the outputs of each device
 * @throws TypeError where the engine runs on one device and there are several
 */
export async function runOnEach(
  session: Pick<Session, 'run' | 'runEach'>,
  signature: string,
  feeds: readonly Values[],
): Promise<readonly Values[]> {
  const [own, ...others] = feeds;
  if (own !== undefined && others.length === 0) return [await session.run(signature, own)];
  if (!session.runEach) throw new TypeError(`${signature} is fed for ${feeds.length} devices, and this engine runs on one`);
  return session.runEach(
    signature,
    feeds.map((each, part) => ({ ...each, [OWN_PART]: ownPartFeed({ count: feeds.length, own: part }) })),
  );
}
