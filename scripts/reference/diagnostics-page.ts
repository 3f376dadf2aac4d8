/** docs/reference/diagnostics.md: every code of the linter, with its severity and an example from the tests' fixtures. */
import { diagnosticSections } from '../../trainer/lint/diagnostics/diagnostics.ts';
import { code, list, page, paragraph } from './markdown.ts';

interface Shown {
  readonly severities: Set<string>;
  /** The line of the first fixture that is a complete YAML page. */
  readonly example?: string;
}

/** @param fixtures texts of the tests: lines with carets below the problem, followed by severity and code */
export function diagnosticsPage(fixtures: readonly string[]): string {
  const shown = readFixtures(fixtures);
  const sections = diagnosticSections.flatMap(({ title, about, diagnostics }) => [
    `## ${title}`,
    ...(about === undefined ? [] : [paragraph(about)]),
    ...Object.entries(diagnostics).map(([name, { about: text, fix }]) =>
      [
        `### ${name}`,
        paragraph(`${severityText(shown.get(name))}${text}`),
        ...(fix === undefined ? [] : [paragraph(`*Fix:* ${fix}`)]),
        ...exampleText(shown.get(name)?.example),
      ].join('\n\n'),
    ),
  ]);
  return page('Diagnostics', 'trainer/lint/diagnostics', [
    paragraph(
      'The editor and `rowtune lint` report these codes. An error keeps a run from starting; a warning or a note does not, except that training also refuses `no-training-data` and `output-not-empty`. Most have a quick fix.',
    ),
    list(
      diagnosticSections.map(({ title, diagnostics }) => {
        const names = Object.keys(diagnostics).map(name => `[${name}](#${name})`);
        return `${title}: ${names.join(', ')}`;
      }),
    ),
    ...sections,
  ]);
}

function readFixtures(fixtures: readonly string[]): Map<string, Shown> {
  const found = new Map<string, Shown>();
  for (const fixture of fixtures) {
    let line = '';
    for (const text of fixture.split('\n')) {
      const [, severity = '', name] = /^\s*\^+ (error|warning|info) ([\w-]+)/.exec(text) ?? [];
      if (name === undefined) {
        line = text;
        continue;
      }
      const { severities = new Set(), example }: Partial<Shown> = found.get(name) ?? {};
      found.set(name, { severities: severities.add(severity), example: example ?? line.trim() });
    }
  }
  return found;
}

const words: Readonly<Record<string, string>> = { error: 'Error', warning: 'Warning', info: 'Note' };

const severityText = (shown: Shown | undefined): string =>
  shown === undefined ? '' : `**${[...shown.severities].map(name => words[name]).join(' or ')}.** `;

const exampleText = (example = ''): string[] => (example === '' ? [] : [`For example: ${code(example)}`]);
