/** Thrown for an export that is impossible, or was written and failed verification; the message says what to do. */
export class ExportError extends Error {
  override name = 'ExportError';
}

/** Returns the error for logits that differ by more than they may. */
export const differing = (
  what: string,
  { largest, tolerance }: Readonly<Record<'largest' | 'tolerance', number>>,
  outputDir: string,
): ExportError =>
  new ExportError(
    `${what} by ${largest.toPrecision(3)} in a logit, more than ${tolerance.toPrecision(3)}; nothing was written to ${outputDir}: report this with the recipe`,
  );
