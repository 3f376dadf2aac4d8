/** The line of a sample for a message, and its number in a JSON list if the line holds several: "1 (sample 4)". */
export const sampleLine = ({ line, sample }: { readonly line?: number | undefined; readonly sample?: number | undefined }): string =>
  sample === undefined ? String(line) : `${line} (sample ${sample})`;
