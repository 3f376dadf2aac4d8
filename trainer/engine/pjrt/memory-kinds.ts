/** The kinds of memory that variables lie in, by XLA's names. */
import { isOnHost, type Program } from '../../graph/program.ts';
import { EngineError } from '../engine.ts';

export const DEVICE_MEMORY = 'device';
/** In the memory of the host, at a place that the device reaches. */
export const HOST_MEMORY = 'pinned_host';

/** @param kinds those that the device reaches @throws EngineError where it does not reach the memory that a variable should lie in */
export function checkPlaces(places: Program['places'], kinds: readonly string[]): void {
  const wanted = [...(places?.values() ?? [])];
  if (wanted.includes('disk')) throw new EngineError('optimizer_offload: disk is not possible on the PJRT engine; choose host or none');
  if (wanted.some(isOnHost) && !kinds.includes(HOST_MEMORY))
    throw new EngineError(
      `optimizer_offload: host and base_offload: host are not possible: the plugin's device has no memory of the kind ${HOST_MEMORY}, only ${kinds.join(', ')}; choose none`,
    );
}
