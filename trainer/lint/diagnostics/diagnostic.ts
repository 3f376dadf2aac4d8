/** What the documentation says about one code of the linter. The reference page and SARIF read it. */
export interface Diagnostic {
  /** What is wrong and why it matters, in full sentences. */
  readonly about: string;
  /** What the quick fix does, or what to write instead. */
  readonly fix?: string;
}

/** A part of the reference page. */
export interface DiagnosticSection {
  readonly title: string;
  readonly about?: string;
  readonly diagnostics: Readonly<Record<string, Diagnostic>>;
}
