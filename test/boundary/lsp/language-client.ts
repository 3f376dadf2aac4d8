/** The editor's side of the language server: starts the bundled process and communicates over its standard streams. */
import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import { createMessageConnection, type MessageConnection, StreamMessageReader, StreamMessageWriter } from 'vscode-jsonrpc/node';

const SERVER = path.join(import.meta.dirname, '..', '..', '..', 'dist', 'server.js');

export interface Diagnostic {
  readonly code: string;
  readonly message: string;
  readonly severity: number;
  readonly range: unknown;
  readonly codeDescription: { readonly href: string };
}

export class LanguageClient {
  readonly process: ChildProcess;
  readonly connection: MessageConnection;
  readonly exited: Promise<number | null>;
  private readonly published = new Map<string, readonly Diagnostic[]>();
  private readonly waiting = new Set<() => void>();

  constructor() {
    const child = spawn(process.execPath, [SERVER, '--stdio'], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.process = child;
    this.exited = new Promise(resolve => child.once('exit', resolve));
    this.connection = createMessageConnection(new StreamMessageReader(child.stdout), new StreamMessageWriter(child.stdin));
    this.connection.onNotification(
      'textDocument/publishDiagnostics',
      ({ uri, diagnostics }: { uri: string; diagnostics: readonly Diagnostic[] }) => {
        this.published.set(uri, diagnostics);
        for (const wake of this.waiting) wake();
      },
    );
    this.connection.listen();
  }

  async initialize(
    capabilities: object,
    processId: number | null = process.pid,
    folder?: string,
  ): Promise<{ capabilities: Record<string, unknown> }> {
    const workspaceFolders = folder === undefined ? null : [{ uri: folder, name: 'workspace' }];
    const result = await this.request<{ capabilities: Record<string, unknown> }>('initialize', {
      processId,
      rootUri: null,
      workspaceFolders,
      capabilities,
    });
    await this.notify('initialized', {});
    return result;
  }

  request<T>(method: string, params?: object): Promise<T> {
    return params === undefined ? this.connection.sendRequest(method) : this.connection.sendRequest(method, params);
  }

  notify(method: string, params?: object): Promise<void> {
    return params === undefined ? this.connection.sendNotification(method) : this.connection.sendNotification(method, params);
  }

  /** Resolves once the published diagnostics of a document satisfy `is`. */
  diagnostics(uri: string, is: (diagnostics: readonly Diagnostic[]) => boolean): Promise<readonly Diagnostic[]> {
    return new Promise(resolve => {
      const check = (): void => {
        const found = this.published.get(uri);
        if (found === undefined || !is(found)) return;
        this.waiting.delete(check);
        resolve(found);
      };
      this.waiting.add(check);
      check();
    });
  }

  /** Shuts the server down in order; returns the status of the process. */
  async shutdown(): Promise<number | null> {
    await this.request('shutdown');
    await this.notify('exit');
    return this.exited;
  }
}
