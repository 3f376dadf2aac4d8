/**
 * The editor's interface for models in its chat, available since version 1.104. The types of the oldest supported editor do not describe
 * it, so this file declares the part that is used here, as in `vscode.d.ts` of 1.140.
 */
import type { CancellationToken, Disposable, Event, LanguageModelTextPart, LanguageModelToolCallPart, Progress } from 'vscode';

export interface ChatModelInformation {
  readonly id: string;
  readonly name: string;
  readonly family: string;
  readonly version: string;
  readonly tooltip: string;
  /** Text shown next to the name. */
  readonly detail: string;
  readonly maxInputTokens: number;
  readonly maxOutputTokens: number;
  readonly capabilities: { readonly imageInput: boolean; readonly toolCalling: boolean };
}

export interface ChatRequestMessage {
  /** 1 is the user, 2 the assistant; messages of the editor itself may have another role. */
  readonly role: number;
  /** Each part is a text, a tool call, a tool result, or data. */
  readonly content: readonly (object | string)[];
}

export interface ChatResponseOptions {
  readonly modelOptions?: Readonly<Record<string, unknown>>;
  readonly tools?: readonly { readonly name: string; readonly description: string; readonly inputSchema?: object }[];
  /** 1: the model decides; 2: it must call a tool. */
  readonly toolMode: number;
}

export interface ChatProvider<Information extends ChatModelInformation> {
  readonly onDidChangeLanguageModelChatInformation: Event<void>;
  provideLanguageModelChatInformation(options: { readonly silent: boolean }, token: CancellationToken): Promise<Information[]>;
  provideLanguageModelChatResponse(
    model: Information,
    messages: readonly ChatRequestMessage[],
    options: ChatResponseOptions,
    progress: Progress<LanguageModelTextPart | LanguageModelToolCallPart>,
    token: CancellationToken,
  ): Promise<void>;
  provideTokenCount(model: Information, text: string | ChatRequestMessage, token: CancellationToken): Promise<number>;
}

/** The `vscode.lm` of an editor that has the interface. */
export interface ChatProviderHost {
  registerLanguageModelChatProvider<Information extends ChatModelInformation>(
    vendor: string,
    provider: ChatProvider<Information>,
  ): Disposable;
}

export const hostsChatProviders = (lm: object): lm is ChatProviderHost => 'registerLanguageModelChatProvider' in lm;
