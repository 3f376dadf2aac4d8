/** Tests recipes in every state that typing may leave them in: every request is answered, without errors inside the server. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';
import { createRandom } from '../../../trainer/random.ts';
import { LanguageClient } from './language-client.ts';

const examples = path.join(import.meta.dirname, '..', '..', '..', 'examples');
const recipes = readdirSync(examples).filter(name => name.endsWith('.rowtune.yaml'));
const EDITS_OF_EACH = 40;
/** Text that people type, and characters that break YAML. */
const PIECES = [
  '\n',
  '  ',
  ': ',
  ':',
  '- ',
  '[',
  ']',
  '{',
  '}',
  ', ',
  '"',
  "'",
  '#',
  '&a ',
  '*a',
  '!x ',
  '|\n',
  '? ',
  '\t',
  '---\n',
  '🦙',
  '\r\n',
];

/** A fixed seed, so that every run has the same edits. */
const { below } = createRandom(7);

/** Edits the text: cuts, duplicates or deletes a part, or inserts a piece. Edits accumulate, as in a text that someone works on. */
function edited(text: string): string {
  const [at, length] = [below(text.length + 1), below(30)];
  const [before, after] = [text.slice(0, at), text.slice(at)];
  switch (below(4)) {
    case 0:
      return before + after.slice(length);
    case 1:
      return before + text.slice(at, at + length) + after;
    case 2:
      return below(8) === 0 ? before : before + after;
    default:
      return before + (PIECES[below(PIECES.length)] ?? '') + after;
  }
}

interface Place {
  readonly line: number;
  readonly character: number;
}
interface Edit {
  readonly range: { readonly start: Place; readonly end: Place };
  readonly newText: string;
}

const isIn = (text: string, { range: { start, end } }: Edit): boolean => {
  const lines = text.split(/\r\n|\n|\r/);
  const exists = ({ line, character }: Place): boolean => line < lines.length && character <= (lines[line] ?? '').length;
  return exists(start) && exists(end) && (start.line < end.line || (start.line === end.line && start.character <= end.character));
};

it('every request about a half-typed recipe is answered', async () => {
  const client = new LanguageClient();
  const errors: string[] = [];
  client.connection.onNotification('window/logMessage', ({ type, message }: { type: number; message: string }) => {
    if (type === 1) errors.push(message);
  });
  await client.initialize({ textDocument: { diagnostic: {} } });
  for (const name of recipes) {
    const uri = pathToFileURL(path.join(examples, name)).href;
    const textDocument = { uri };
    const whole = readFileSync(path.join(examples, name), 'utf8');
    await client.notify('textDocument/didOpen', { textDocument: { uri, languageId: 'yaml', version: 0, text: whole } });
    let text = whole;
    for (let version = 1; version <= EDITS_OF_EACH; version++) {
      text = version % 10 === 0 ? whole : edited(text);
      await client.notify('textDocument/didChange', { textDocument: { uri, version }, contentChanges: [{ text }] });
      const line = below(text.split('\n').length);
      const position = { line, character: below((text.split('\n')[line] ?? '').length + 1) };
      const range = { start: { line: 0, character: 0 }, end: { line: 1000, character: 0 } };
      const ask = <T>(method: string, more: object = {}): Promise<T> =>
        client.request<T>(`textDocument/${method}`, { textDocument, ...more });
      const [report, choices, actions, formatting] = await Promise.all([
        ask<{ items: Edit[] }>('diagnostic'),
        ask<{ textEdit: Edit }[]>('completion', { position }),
        ask<{ edit: { changes: Record<string, Edit[]> } }[]>('codeAction', { range, context: { diagnostics: [] } }),
        ask<Edit[]>('formatting', { options: {} }),
        ask('hover', { position }),
        ask('inlayHint', { range }),
        ...['documentSymbol', 'foldingRange', 'documentLink', 'codeLens'].map(method => ask(method)),
      ]);
      const fixes = actions.flatMap(({ edit }) => edit.changes[uri] ?? []);
      const edits = [...report.items, ...choices.map(({ textEdit }) => textEdit), ...fixes, ...formatting];
      expect(
        edits.filter(edit => !isIn(text, edit)),
        `places that are not in ${JSON.stringify(text)}`,
      ).toEqual([]);
    }
  }
  expect(errors).toEqual([]);
  expect(await client.shutdown()).toBe(0);
});
