/** Error for a measure that this model or data does not support, or for scores that cannot be used. */
export class ImportanceError extends Error {
  override name = 'ImportanceError';
}
