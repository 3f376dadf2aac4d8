/**
 * TensorFlow's pool of memory after loading, as its allocator makes it (tensorflow/core/common_runtime/bfc_allocator.cc): the smallest free chunk
 * that is large enough is taken, and cut where at least as much is left again, or 128 MiB. Nothing goes back to the system, so whatever was
 * written once stays resident. Of Llama-2-7B's sizes with 2 and 4 layers (SPSFT and LoRA in bfloat16) every region of the pool had the resident
 * bytes that come out here, to the megabyte.
 */
import { LOAD_BATCH_BYTES } from '../../catalog/engines.ts';
import { elementAt } from '../../narrow.ts';

export interface LoadedVariable {
  readonly bytes: number;
  /** One zero is fed for all of its elements. */
  readonly isZero: boolean;
}

export interface LoadedPool {
  /** Resident bytes of chunks in use behind what was asked for. */
  readonly wastedBytes: number;
  /** Resident bytes of free chunks: tensors of a step come to lie there. */
  readonly freeBytes: number;
  /** The allocator's own table of the chunks in its regions. */
  readonly tableBytes: number;
}

/** Smaller tensors come from the system's allocator. */
const LEAST_BYTES = 256 * 1024;
const GRANULE_BYTES = 256;
/** Bytes of the table for each granule of a region, used or not. */
const HANDLE_BYTES = 8;
const FIRST_REGION_BYTES = 2 * 2 ** 20;
const MOST_LEFT_IN_CHUNK_BYTES = 128 * 2 ** 20;
const BYTES_OF_ZERO = 4;

/**
 * Returns what loading these variables leaves behind, part by part and in their order: each is fed, and copied from there.
 * @param physicalBytes memory of the machine, which all regions together never exceed
 */
export function loadedPool(parts: readonly (readonly LoadedVariable[])[], physicalBytes = Number.POSITIVE_INFINITY): LoadedPool {
  const pool = new Pool(physicalBytes);
  for (const variables of parts) {
    let [batch, bytes]: [LoadedVariable[], number] = [[], 0];
    for (const variable of variables) {
      if (bytes + variable.bytes > LOAD_BATCH_BYTES) {
        pool.load(batch);
        [batch, bytes] = [[], 0];
      }
      batch.push(variable);
      bytes += variable.bytes;
    }
    pool.load(batch);
  }
  return pool.leftovers();
}

/** Bytes of the pool that no tensor uses while so many are alive. */
export const unusedBytes = ({ wastedBytes, freeBytes, tableBytes }: LoadedPool, activationBytes: number): number =>
  wastedBytes + tableBytes + Math.max(0, freeBytes - activationBytes);

interface Chunk {
  readonly region: Region;
  readonly start: number;
  size: number;
  /** Bytes that were asked for; 0 of a free chunk. */
  used: number;
  before: Chunk | undefined;
  after: Chunk | undefined;
}

interface Region {
  readonly bytes: number;
  /** Parts that were written. */
  written: (readonly [begin: number, end: number])[];
  first?: Chunk;
}

class Pool {
  private readonly regions: Region[] = [];
  /** By size, the smallest first. */
  private readonly free: Chunk[] = [];
  private regionBytes = FIRST_REGION_BYTES;
  /** For regions to come. */
  private availableBytes: number;

  constructor(availableBytes: number) {
    this.availableBytes = availableBytes;
  }

  /** One run that loads: everything is fed before it, and let go after it. */
  load(variables: readonly LoadedVariable[]): void {
    const fed = variables.map(({ bytes, isZero }) => this.take(isZero ? BYTES_OF_ZERO : bytes));
    for (const { bytes, isZero } of variables) {
      const filled = isZero ? this.take(bytes) : undefined;
      this.take(bytes);
      this.release(filled);
    }
    for (const chunk of fed) this.release(chunk);
  }

  leftovers(): LoadedPool {
    let [wastedBytes, freeBytes, tableBytes] = [0, 0, 0];
    for (const region of this.regions) {
      tableBytes += (HANDLE_BYTES * region.bytes) / GRANULE_BYTES;
      for (let chunk = region.first; chunk; chunk = chunk.after) {
        const resident = writtenIn(region, chunk.start + chunk.used, chunk.start + chunk.size);
        if (chunk.used > 0) wastedBytes += resident;
        else freeBytes += resident;
      }
    }
    return { wastedBytes, freeBytes, tableBytes };
  }

  private take(bytes: number): Chunk | undefined {
    if (bytes < LEAST_BYTES) return undefined;
    const size = Math.ceil(bytes / GRANULE_BYTES) * GRANULE_BYTES;
    const known = this.free.findIndex(each => each.size >= size);
    if (known < 0) this.extend(size);
    const at = known < 0 ? this.free.findIndex(each => each.size >= size) : known;
    const chunk = elementAt(this.free, at);
    this.free.splice(at, 1);
    if (chunk.size >= 2 * size || chunk.size - size >= MOST_LEFT_IN_CHUNK_BYTES) this.cut(chunk, size);
    chunk.used = bytes;
    write(chunk.region, chunk.start, chunk.start + bytes);
    return chunk;
  }

  private cut(chunk: Chunk, size: number): void {
    const { region, start, after } = chunk;
    const rest: Chunk = { region, start: start + size, size: chunk.size - size, used: 0, before: chunk, after };
    if (after) after.before = rest;
    chunk.after = rest;
    chunk.size = size;
    this.insert(rest);
  }

  /** A free chunk joins its free neighbors. */
  private release(released: Chunk | undefined): void {
    if (!released) return;
    released.used = 0;
    const { before, after } = released;
    if (after?.used === 0) {
      this.remove(after);
      join(released, after);
    }
    if (before?.used === 0) {
      this.remove(before);
      join(before, released);
      this.insert(before);
    } else this.insert(released);
  }

  /** Each region is twice as large as the one before, and the last has what is left of the memory. */
  private extend(size: number): void {
    let isDoubled = false;
    for (; this.regionBytes < size; isDoubled = true) this.regionBytes *= 2;
    // A run that takes more than the machine has fails; its estimate says so.
    const bytes = Math.max(size, Math.min(this.regionBytes, this.availableBytes));
    this.availableBytes -= bytes;
    const region: Region = { bytes, written: [] };
    region.first = { region, start: 0, size: bytes, used: 0, before: undefined, after: undefined };
    this.regions.push(region);
    this.insert(region.first);
    if (!isDoubled) this.regionBytes *= 2;
  }

  private insert(chunk: Chunk): void {
    const at = this.free.findIndex(({ size }) => size > chunk.size);
    this.free.splice(at < 0 ? this.free.length : at, 0, chunk);
  }

  private remove(chunk: Chunk): void {
    this.free.splice(this.free.indexOf(chunk), 1);
  }
}

function join(chunk: Chunk, after: Chunk): void {
  chunk.size += after.size;
  chunk.after = after.after;
  if (after.after) after.after.before = chunk;
}

function write(region: Region, begin: number, end: number): void {
  const apart = region.written.filter(([from, to]) => to < begin || from > end);
  const joined = region.written.filter(([from, to]) => to >= begin && from <= end);
  region.written = [...apart, [Math.min(begin, ...joined.map(([from]) => from)), Math.max(end, ...joined.map(([, to]) => to))]];
}

const writtenIn = ({ written }: Region, begin: number, end: number): number =>
  written.reduce((sum, [from, to]) => sum + Math.max(0, Math.min(to, end) - Math.max(from, begin)), 0);
