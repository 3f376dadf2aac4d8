/** An export that cannot be made, or was made and found wrong; the message says what to do. */
export class ExportError extends Error {
  override name = 'ExportError';
}
