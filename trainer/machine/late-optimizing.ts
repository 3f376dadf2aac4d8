/** The flag that lets V8 optimize functions later, for processes in which most functions run for seconds at most. */

/** Bytes of bytecode that V8 executes in a function before it optimizes it: eight times the default of Node 20. */
const OPTIMIZED_AFTER = 528 * 2 ** 10;

/** The last major version of V8 that was tried with the flag: newer ones lack it, and Node does not start with a flag that it lacks. */
const LAST_WITH_FLAG = 11;

/** Flags of a process of this Node; none if its V8 may lack the flag. A compiler of V8's, faster and less thorough, replaced it. */
export const LATE_OPTIMIZING: readonly string[] =
  Number.parseInt(process.versions.v8, 10) <= LAST_WITH_FLAG ? [`--interrupt-budget=${OPTIMIZED_AFTER}`] : [];
