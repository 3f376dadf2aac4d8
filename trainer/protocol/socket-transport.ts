/** One text frame a message: a WebSocket as reader and writer of vscode-jsonrpc, with a bounded queue of what waits to be sent. */
import type { Disposable, Message, MessageReader, MessageWriter } from 'vscode-jsonrpc';
import { readFrame } from './frames.ts';

/** What is needed of a WebSocket; that of `ws` fits through `fromWebSocket` of the caller. */
export interface TextSocket {
  /** Bytes that `send` took and the peer has not. */
  readonly bufferedAmount: number;
  send(text: string): void;
  close(code: number, reason: string): void;
  /** Ends it without waiting for the peer. */
  terminate(): void;
  onText(listener: (text: string) => void): void;
  onClose(listener: (code: number, reason: string) => void): void;
}

export interface TransportOptions {
  /** A peer that lets more than this wait is dropped: what it missed it can ask for when it comes back. */
  readonly maxQueuedBytes: number;
  /** Why the connection was given up from this side. */
  readonly onDropped?: (reason: string) => void;
}

export interface SocketTransport {
  readonly reader: MessageReader;
  readonly writer: MessageWriter;
}

/** Of RFC 6455: what came is no message; the peer is too slow for this service. */
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
  /** A frame that the library stumbles over all the same ends this connection, and nothing else. */
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
      socket.send(JSON.stringify(message));
      if (socket.bufferedAmount <= maxQueuedBytes) return;
      isOpen = false;
      onDropped(`does not read: ${socket.bufferedAmount} bytes wait for it`);
      socket.terminate();
    },
    end: () => undefined,
    dispose: () => undefined,
  };
  return { reader, writer };
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
