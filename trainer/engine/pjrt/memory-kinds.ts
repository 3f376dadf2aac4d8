/** The kinds of memory that variables can be stored in, by XLA's names. */
import { isOnHost, type Program } from '../../graph/program.ts';
import { EngineError } from '../engine.ts';

export const DEVICE_MEMORY = 'device';
/** Pinned memory of the host, which the device can access. */
export const HOST_MEMORY = 'pinned_host';

/**
 * Checks the places of variables. @param kinds of memory that the device can access @throws EngineError if a variable needs another kind
 */
export function checkPlaces(places: Program['places'], kinds: readonly string[]): void {
  const wanted = [...(places?.values() ?? [])];
  if (wanted.includes('disk')) throw new EngineError('optimizer_offload: disk is not possible on the PJRT engine; choose host or none');
  if (wanted.some(isOnHost) && !kinds.includes(HOST_MEMORY))
    throw new EngineError(
      `optimizer_offload: host and base_offload: host are not possible: the plugin's device has no memory of the kind ${HOST_MEMORY}, only ${kinds.join(', ')}; choose none`,
    );
}
