/** The documentation of one code of the linter. The reference page and SARIF use it. */
export interface Diagnostic {
  /** The problem and its consequence, in full sentences. */
  readonly about: string;
  /** The effect of the quick fix, or what to write instead. */
  readonly fix?: string;
}

/** A part of the reference page. */
export interface DiagnosticSection {
  readonly title: string;
  readonly about?: string;
  readonly diagnostics: Readonly<Record<string, Diagnostic>>;
}
