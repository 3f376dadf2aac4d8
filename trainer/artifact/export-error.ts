/** Thrown for an export that is impossible, or was written and failed verification; the message says what to do. */
export class ExportError extends Error {
  override name = 'ExportError';
}
