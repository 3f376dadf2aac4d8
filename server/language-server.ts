/** Entry point of the language server: connects the editor's requests to the functions that answer them. */
import os from 'node:os';
import { CodeActionKind, createConnection, type InitializeParams, TextDocumentSyncKind } from 'vscode-languageserver/node';
import type { CardName } from '../trainer/catalog/cards.ts';
import { EstimateCache } from '../trainer/lint/facts/estimates.ts';
import { conversion, fixAll, quickFixes } from '../trainer/lint/quick-fixes.ts';
import type { FarDaemon, RecipeView } from '../trainer/lint/recipe-view.ts';
import { smallestChange } from '../trainer/lint/text-edits.ts';
import { availableMemoryBytes } from '../trainer/machine/machine.ts';
import { readSources } from '../trainer/reader/lint-sources.ts';
import { Reader } from '../trainer/reader/reader.ts';
import { resolveSettings } from '../trainer/settings.ts';
import { readCard } from './card-setting.ts';
import { completionsAt } from './completion.ts';
import { overlaps } from './cursor.ts';
import { Documents, pathOf } from './documents.ts';
import { readFarDaemon } from './far-daemon.ts';
import { formatRecipe } from './format-recipe.ts';
import { hoverAt } from './hover.ts';
import { inlayHints } from './inlay-hints.ts';
import { foldsOf, lineOf, linksOf, symbolsOf } from './outline.ts';
import {
  codeLenses,
  fromPosition,
  fromRange,
  toCodeAction,
  toCompletion,
  toConversion,
  toDiagnostic,
  toEdit,
  toFixAll,
  toFold,
  toHover,
  toInlayHint,
  toLink,
  toSymbol,
} from './to-protocol.ts';

/** Debounce of diagnostics in ms. */
const DEBOUNCE_MS = 25;
/** Delay in ms until the user stops typing: an estimate takes longer than a keystroke may. */
const IDLE_MS = 300;
/** Minimum interval between refreshes in ms: a run writes its files more often than an editor needs to look at them. */
const REFRESH_MS = 500;

/** The documentation page with a section for each code. Sources and bundle are both one folder below the root of the package. */
const docs = new URL('../docs/reference/diagnostics.md', import.meta.url).href;
const { cacheDir } = resolveSettings({ env: process.env, platform: process.platform, home: os.homedir() });
const estimates = new EstimateCache({ allLevels: true, compare: true });
const sources = readSources(new Reader(), cacheDir);
/** Documents that wait while another document is being estimated. */
const waiting = new Set<string>();
let isEstimating = false;
/** Available memory, read only before an estimate, because reading it takes longer than a keystroke may. */
let availableBytes = availableMemoryBytes();
/** The remote daemon in the editor's settings. */
let farDaemon: FarDaemon | undefined;
let card: CardName | undefined;
const documents = new Documents(
  {
    ...sources,
    availableBytes: () => availableBytes,
    farDaemon: () => farDaemon,
    card: () => card,
  },
  estimates,
);
const connection = createConnection();
const client = { pulls: false, refreshesDiagnostics: false, refreshesHints: false };
const timers = new Map<string, NodeJS.Timeout>();
let pulling: NodeJS.Timeout | undefined;

connection.onInitialize(({ capabilities: { textDocument, workspace }, workspaceFolders }: InitializeParams) => {
  client.pulls = textDocument?.diagnostic !== undefined;
  client.refreshesDiagnostics = workspace?.diagnostics?.refreshSupport === true;
  client.refreshesHints = workspace?.inlayHint?.refreshSupport === true;
  documents.folder = pathOf(workspaceFolders?.[0]?.uri ?? '') ?? documents.folder;
  return {
    serverInfo: { name: 'rowtune' },
    capabilities: {
      // Recipes are short, so every change sends the whole text.
      textDocumentSync: { openClose: true, change: TextDocumentSyncKind.Full, save: true },
      ...(client.pulls ? { diagnosticProvider: { interFileDependencies: true, workspaceDiagnostics: false } } : {}),
      codeActionProvider: { codeActionKinds: [CodeActionKind.QuickFix, CodeActionKind.SourceFixAll] },
      hoverProvider: true,
      completionProvider: { triggerCharacters: [':', ' ', '/', '-', '[', ','] },
      inlayHintProvider: true,
      documentSymbolProvider: true,
      documentLinkProvider: {},
      foldingRangeProvider: true,
      documentFormattingProvider: true,
      codeLensProvider: {},
    },
  };
});

connection.onDidOpenTextDocument(({ textDocument: { uri, text } }) => {
  documents.set(uri, text);
  schedule(uri, 0);
});
connection.onDidChangeTextDocument(({ textDocument: { uri }, contentChanges }) => {
  documents.set(uri, contentChanges.at(-1)?.text ?? '');
  schedule(uri, DEBOUNCE_MS);
});
connection.onDidChangeConfiguration(({ settings }) => {
  farDaemon = readFarDaemon(settings);
  card = readCard(settings);
  scheduleAll();
  void guarded('settings', undefined, refreshClient);
});
connection.onDidSaveTextDocument(lookAgain);
connection.onDidChangeWatchedFiles(lookAgain);
connection.onDidCloseTextDocument(({ textDocument: { uri } }) => {
  documents.close(uri);
  clearTimeout(timers.get(uri));
  timers.delete(uri);
  if (!client.pulls) void connection.sendDiagnostics({ uri, diagnostics: [] });
});

connection.languages.diagnostics.on(async ({ textDocument: { uri } }) => ({
  kind: 'full' as const,
  items: await guarded('diagnostics', [], () => diagnosticsOf(uri)),
}));
connection.onCodeAction(({ textDocument: { uri }, range }) =>
  guarded('codeAction', [], async () => {
    const source = documents.source(uri);
    if (source === undefined) return [];
    const problems = (await documents.problems(uri)).filter(problem => overlaps(problem.range, fromRange(range)));
    const view = await documents.view(uri);
    const fixes = quickFixes({ ...source, view }, problems).map(fix => toCodeAction(fix, uri, docs));
    if (view === undefined) return fixes;
    const converted = conversion(source);
    const change = converted && smallestChange(source.text, converted.text);
    const all = fixAll(source);
    return [
      ...fixes,
      ...(converted && change ? [toConversion(converted.title, change, uri)] : []),
      ...(all === undefined ? [] : [toFixAll(all, uri)]),
    ];
  }),
);
connection.onHover(({ textDocument: { uri }, position }) =>
  withView('hover', uri, null, view => {
    const found = hoverAt(view, fromPosition(position));
    return found === undefined ? null : toHover(found);
  }),
);
connection.onCompletion(({ textDocument: { uri }, position }) =>
  withView('completion', uri, [], async view => (await completionsAt(view, fromPosition(position), cacheDir)).map(toCompletion)),
);
connection.languages.inlayHint.on(({ textDocument: { uri }, range }) =>
  withView('inlayHint', uri, [], view =>
    inlayHints(view)
      .map(toInlayHint)
      .filter(({ position: { line } }) => line >= range.start.line && line <= range.end.line),
  ),
);
connection.onDocumentSymbol(({ textDocument: { uri } }) => withView('symbols', uri, [], view => symbolsOf(view.root).map(toSymbol)));
connection.onFoldingRanges(({ textDocument: { uri } }) => withView('folding', uri, [], view => foldsOf(view).map(toFold)));
connection.onDocumentLinks(({ textDocument: { uri } }) => withView('links', uri, [], view => linksOf(view).map(toLink)));
connection.onCodeLens(({ textDocument: { uri } }) =>
  withView('codeLens', uri, [], ({ runs, root }) => codeLenses(uri, runs.last, lineOf(root, 'data'))),
);
connection.onDocumentFormatting(({ textDocument: { uri } }) =>
  withView('formatting', uri, [], ({ text, file }) => {
    const change = formatRecipe(text, file);
    return change === undefined ? [] : [toEdit(change)];
  }),
);
connection.listen();

/** Runs a request. Errors are caught only here: they are logged, and the editor gets an empty answer. */
async function guarded<T>(what: string, fallback: T, work: () => Promise<T> | T): Promise<T> {
  try {
    return await work();
  } catch (error) {
    connection.console.error(`${what}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    return fallback;
  }
}

function withView<T>(what: string, uri: string, fallback: T, work: (view: RecipeView) => Promise<T> | T): Promise<T> {
  return guarded(what, fallback, async () => {
    const view = await documents.view(uri);
    return view === undefined ? fallback : work(view);
  });
}

const diagnosticsOf = async (uri: string) => (await documents.problems(uri)).map(problem => toDiagnostic(problem, docs));

function scheduleAll(): void {
  documents.forgetViews();
  for (const uri of documents.uris()) schedule(uri, DEBOUNCE_MS);
}

/** Called when files changed; an editor with pull diagnostics pulls again when the server requests it. */
function lookAgain(): void {
  scheduleAll();
  if (pulling !== undefined) return;
  pulling = setTimeout(() => {
    pulling = undefined;
    void guarded('files', undefined, refreshClient);
  }, REFRESH_MS);
}

/** Schedules diagnostics soon, and the estimate once the user stops typing. */
function schedule(uri: string, delayMs: number): void {
  clearTimeout(timers.get(uri));
  timers.set(
    uri,
    setTimeout(() => {
      timers.set(
        uri,
        setTimeout(() => void guarded('estimate', undefined, () => estimate(uri)), IDLE_MS),
      );
      void guarded('diagnostics', undefined, () => publish(uri));
    }, delayMs),
  );
}

async function publish(uri: string): Promise<void> {
  if (client.pulls) return;
  const text = documents.text(uri);
  const diagnostics = await diagnosticsOf(uri);
  // If the text changed in the meantime, its own diagnostics follow.
  if (text !== undefined && documents.text(uri) === text) await connection.sendDiagnostics({ uri, diagnostics });
}

/** Computes one estimate at a time; a document that arrives in the meantime waits. */
async function estimate(uri: string): Promise<void> {
  if (isEstimating) {
    waiting.add(uri);
    return;
  }
  isEstimating = true;
  try {
    await refreshEstimate(uri);
  } finally {
    isEstimating = false;
    const [next] = waiting;
    if (next !== undefined) {
      waiting.delete(next);
      void guarded('estimate', undefined, () => estimate(next));
    }
  }
}

async function refreshEstimate(uri: string): Promise<void> {
  availableBytes = availableMemoryBytes();
  documents.forgetViews();
  // The run's own estimate is shown before those of other levels and methods. The text may have changed by then.
  for (;;) {
    const view = await documents.view(uri);
    if (view === undefined || !estimates.isDue(view)) return;
    await estimates.compute(view, sources.estimate);
    await publish(uri);
    await refreshClient();
  }
}

/** Requests that the editor pull diagnostics and hints again. */
async function refreshClient(): Promise<void> {
  if (client.pulls && client.refreshesDiagnostics) await connection.languages.diagnostics.refresh();
  if (client.refreshesHints) await connection.languages.inlayHint.refresh();
}
