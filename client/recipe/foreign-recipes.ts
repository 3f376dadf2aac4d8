/** A code lens and a lightbulb that convert recipes of other tools, whatever their file names. */
import { CodeAction, CodeActionKind, CodeLens, type Disposable, languages, Range, type TextDocument } from 'vscode';
import { COMMANDS } from '../commands/command-ids.ts';
import { mayBeForeign } from './foreign-marks.ts';
import { isRecipeName } from './recipe-names.ts';

export interface ForeignRecipe {
  readonly tool: string;
  /** The converted recipe. */
  readonly text: string;
  /** Keys without a counterpart. */
  readonly dropped: readonly string[];
}

/** Returns undefined if the text is not a recipe of a supported tool. */
export async function foreignRecipe(text: string, file: string): Promise<ForeignRecipe | undefined> {
  if (!mayBeForeign(text)) return undefined;
  const { conversion } = await (await import('../lazy-modules.ts')).quickFixes();
  return conversion({ text, file });
}

/** Memoizes the tool of an open document, because the editor asks often about the same text. */
class KnownTools {
  private readonly known = new WeakMap<TextDocument, { readonly version: number; readonly tool: Promise<string | undefined> }>();

  of(document: TextDocument): Promise<string | undefined> {
    const { version } = document;
    const known = this.known.get(document);
    if (known?.version === version) return known.tool;
    const tool = foreignRecipe(document.getText(), document.uri.path).then(found => found?.tool);
    this.known.set(document, { version, tool });
    return tool;
  }
}

export function offerConversions(): Disposable[] {
  const tools = new KnownTools();
  const documents = ['file', 'untitled'].flatMap(scheme => ['yaml', 'json'].map(language => ({ scheme, language })));
  const top = new Range(0, 0, 0, 0);
  const commandOf = ({ uri }: TextDocument, tool: string) => ({
    title: `Convert this recipe of ${tool}`,
    command: COMMANDS.convertRecipe,
    arguments: [uri.toString()],
  });
  return [
    languages.registerCodeLensProvider(documents, {
      provideCodeLenses: async document => {
        const tool = await tools.of(document);
        return tool === undefined ? [] : [new CodeLens(top, commandOf(document, tool))];
      },
    }),
    languages.registerCodeActionsProvider(
      documents,
      {
        provideCodeActions: async document => {
          // In files with our names, the language server offers the conversion.
          const tool = isRecipeName(document.uri.path) ? undefined : await tools.of(document);
          if (tool === undefined) return [];
          const action = new CodeAction(`Convert this recipe of ${tool}`, CodeActionKind.RefactorRewrite);
          action.command = commandOf(document, tool);
          return [action];
        },
      },
      { providedCodeActionKinds: [CodeActionKind.RefactorRewrite] },
    ),
  ];
}
