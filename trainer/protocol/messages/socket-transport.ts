/** Connects a WebSocket to the reader and writer of vscode-jsonrpc: one text frame per message, with a bounded send queue. */
import type { Disposable, Message, MessageReader, MessageWriter } from 'vscode-jsonrpc';
import { readFrame } from './frames.ts';
import { MAX_FRAME_BYTES, RPC_ERROR, type RpcErrorData } from './rpc-messages.ts';

/** The part of WebSocket that is needed; `fromWebSocket` adapts sockets of `ws`. */
export interface TextSocket {
  /** Bytes that were sent but not yet received by the peer. */
  readonly bufferedAmount: number;
  send(text: string): void;
  close(code: number, reason: string): void;
  /** Closes it without waiting for the peer. */
  terminate(): void;
  onText(listener: (text: string) => void): void;
  onClose(listener: (code: number, reason: string) => void): void;
}

export interface TransportOptions {
  /** Maximum backlog; a peer that exceeds it is dropped, and can request missed events when it reconnects. */
  readonly maxQueuedBytes: number;
  /** Receives the reason why this side closed the connection. */
  readonly onDropped?: (reason: string) => void;
}

export interface SocketTransport {
  readonly reader: MessageReader;
  readonly writer: MessageWriter;
}

/** Close codes of RFC 6455: invalid message; peer too slow. */
const INVALID_PAYLOAD = 1007;

export function socketTransport(socket: TextSocket, { maxQueuedBytes, onDropped = () => undefined }: TransportOptions): SocketTransport {
  const closed = listeners<void>();
  let isOpen = true;
  socket.onClose(() => {
    isOpen = false;
    closed.fire();
  });
  const drop = (reason: string): void => {
    isOpen = false;
    onDropped(`sent something that is ${reason}`);
    socket.close(INVALID_PAYLOAD, reason);
  };
  /** A frame that still breaks the library ends only this connection. */
  const take = (message: Message, callback: (message: Message) => void): void => {
    try {
      callback(message);
    } catch {
      drop('not a message that can be read');
    }
  };
  const reader: MessageReader = {
    onError: listeners<Error>().event,
    onClose: closed.event,
    onPartialMessage: listeners<never>().event,
    listen: callback => {
      socket.onText(text => {
        if (!isOpen) return;
        const frame = readFrame(text);
        if (frame.kind === 'message') take(frame.message, callback);
        else if (frame.kind === 'refused') writer.write(frame.answer).catch(() => undefined);
        else if (frame.kind === 'foreign') drop(frame.reason);
      });
      return { dispose: () => undefined };
    },
    dispose: () => undefined,
  };
  const writer: MessageWriter = {
    onError: listeners<[Error, Message | undefined, number | undefined]>().event,
    onClose: closed.event,
    write: async message => {
      if (!isOpen) throw new Error('the connection is closed');
      socket.send(frameOf(message));
      if (socket.bufferedAmount <= maxQueuedBytes) return;
      isOpen = false;
      onDropped(`does not read fast enough: ${socket.bufferedAmount} bytes are waiting`);
      socket.terminate();
    },
    end: () => undefined,
    dispose: () => undefined,
  };
  return { reader, writer };
}

const TOO_LARGE = `has more than ${MAX_FRAME_BYTES} bytes`;

/**
 * The text of a message. The peer would end the connection because of a message that is too large, so an answer is replaced by an error.
 * @throws Error for a request or notification that is too large
 */
function frameOf(message: Message): string {
  const text = textOf(message);
  if (text !== undefined) return text;
  if ('method' in message) throw new Error(`the message ${JSON.stringify(message.method)} ${TOO_LARGE}`);
  const id = 'id' in message ? message.id : null;
  const data: RpcErrorData = { code: 'answer-too-large', hint: 'Ask for less: fewer folders, or a part of them' };
  return JSON.stringify({ jsonrpc: '2.0', id, error: { code: RPC_ERROR.failed, message: `the answer ${TOO_LARGE}`, data } });
}

/** The JSON of a message; undefined if it is larger than a frame, or than any string. */
function textOf(message: Message): string | undefined {
  try {
    const text = JSON.stringify(message);
    // A code unit takes at most three bytes.
    return 3 * text.length <= MAX_FRAME_BYTES || utf8Bytes(text) <= MAX_FRAME_BYTES ? text : undefined;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** The length of a text in UTF-8. JSON has surrogates only in pairs, of four bytes. */
function utf8Bytes(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 0x7f) bytes++;
    if (unit > 0x7ff && (unit < 0xd800 || unit > 0xdfff)) bytes++;
  }
  return bytes;
}

function listeners<T>(): { event(listener: (value: T) => unknown): Disposable; fire(value: T): void } {
  const all = new Set<(value: T) => unknown>();
  return {
    event: listener => {
      all.add(listener);
      return { dispose: () => void all.delete(listener) };
    },
    fire: value => {
      for (const listener of [...all]) listener(value);
    },
  };
}
