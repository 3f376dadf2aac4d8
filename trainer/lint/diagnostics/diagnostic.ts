/** The documentation of one linter code, used by the reference page and SARIF. */
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
