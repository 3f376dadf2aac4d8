/** The end of the name of a file or folder that is still being written. */

/** Source of a pattern: the id of the process, a mark of its machine, which older versions left out, and a random number. */
export const TEMPORARY_ENDING = String.raw`\.(\d+)-([0-9a-f]{4})?[0-9a-f]{8}\.tmp`;
