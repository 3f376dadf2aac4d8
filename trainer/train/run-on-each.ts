/** Runs a signature on several devices, either on parts of a batch or on whole batches. */
import type { Session } from '../engine/engine.ts';
import { OWN_PART, ownPartFeed } from '../graph/graph.ts';
import type { HostArray } from '../graph/types.ts';

type Values = Readonly<Record<string, HostArray>>;

/**
 * @param feeds for each device, without the index of its part; with a single entry, the signature has no replicas
 * @returns the outputs of each device
 * @throws TypeError if there are several devices and the engine supports one
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

/**
 * Runs a signature without effects for several batches at the same time. Devices without a batch repeat the first one.
 * @param feeds for each batch, at most one per device
 * @param devices that the signature runs on
 * @returns the outputs of each batch
 * @throws TypeError if there are several devices and the engine supports one
 */
export async function runForEach(
  session: Pick<Session, 'run' | 'runEach'>,
  signature: string,
  { feeds, devices = 1 }: { readonly feeds: readonly Values[]; readonly devices?: number | undefined },
): Promise<readonly Values[]> {
  const [first] = feeds;
  if (first === undefined) return [];
  if (devices === 1) return [await session.run(signature, first)];
  if (!session.runEach) throw new TypeError(`${signature} is to run on ${devices} devices, and this engine runs on one`);
  const fed = Array.from({ length: devices }, (_, device) => feeds[device] ?? first);
  return (await session.runEach(signature, fed)).slice(0, feeds.length);
}
