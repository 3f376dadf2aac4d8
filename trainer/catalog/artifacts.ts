/** The formats in which a run is exported. `export/export-model.ts` holds how each is written and verified. */

export interface ArtifactEntry {
  readonly label: string;
  /** A phrase for lists and help. */
  readonly summary: string;
  /** Ends the suggested name of the folder. */
  readonly suffix: string;
}

const entries = {
  merged: { label: 'Merged model', summary: 'A whole Hugging Face folder that any tool loads', suffix: 'merged' },
  adapter: { label: 'Adapter', summary: 'Only the trained numbers and their places: small', suffix: 'adapter' },
  peft: { label: 'PEFT adapter', summary: 'An adapter that PEFT loads', suffix: 'peft' },
} as const satisfies Readonly<Record<string, ArtifactEntry>>;

export type ExportFormat = keyof typeof entries;

export const artifactCatalog: Readonly<Record<ExportFormat, ArtifactEntry>> = entries;

export const exportFormats = Object.keys(entries) as readonly ExportFormat[];
