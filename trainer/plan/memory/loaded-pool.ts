/**
 * TensorFlow's memory pool after loading, as its allocator lays it out (tensorflow/core/common_runtime/bfc_allocator.cc): it takes the
 * smallest free chunk that is large enough, and splits it if at least the requested size, or 128 MiB, would be left over. A variable is
 * written once, in place, so nothing else of the regions is resident; the allocator's table is.
 */
import { elementAt } from '../../narrow.ts';

/** Smaller tensors come from the system's allocator. */
const MIN_BYTES = 256 * 1024;
const GRANULE_BYTES = 256;
/** Table bytes for each granule of a region, whether used or not. */
const HANDLE_BYTES = 8;
const FIRST_REGION_BYTES = 2 * 2 ** 20;
const MAX_LEFT_IN_CHUNK_BYTES = 128 * 2 ** 20;

/**
 * Returns the bytes of the table that the allocator keeps of its regions, once variables of these sizes are loaded in this order.
 * @param physicalBytes memory of the machine, which all regions together never exceed
 */
export function poolTableBytes(variables: readonly number[], physicalBytes = Number.POSITIVE_INFINITY): number {
  let [regionBytes, available, total] = [FIRST_REGION_BYTES, physicalBytes, 0];
  /** Free chunks, smallest first. */
  const free: number[] = [];
  const insert = (size: number): void => {
    const at = free.findIndex(other => other > size);
    free.splice(at < 0 ? free.length : at, 0, size);
  };
  /** Adds a region. Each is twice as large as the previous one; the last gets the rest of the memory. */
  const extend = (size: number): void => {
    let isDoubled = false;
    for (; regionBytes < size; isDoubled = true) regionBytes *= 2;
    // A run that takes more than the machine has fails, and its estimate says so.
    const bytes = Math.max(size, Math.min(regionBytes, available));
    available -= bytes;
    total += bytes;
    insert(bytes);
    if (!isDoubled) regionBytes *= 2;
  };
  for (const bytes of variables) {
    if (bytes < MIN_BYTES) continue;
    const size = Math.ceil(bytes / GRANULE_BYTES) * GRANULE_BYTES;
    if (!free.some(chunk => chunk >= size)) extend(size);
    const at = free.findIndex(chunk => chunk >= size);
    const chunk = elementAt(free, at);
    free.splice(at, 1);
    if (chunk >= 2 * size || chunk - size >= MAX_LEFT_IN_CHUNK_BYTES) insert(chunk - size);
  }
  return (HANDLE_BYTES * total) / GRANULE_BYTES;
}
