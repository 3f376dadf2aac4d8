/** A measure that cannot be had on this model or this data, or scores that cannot be used. */
export class ImportanceError extends Error {
  override name = 'ImportanceError';
}
