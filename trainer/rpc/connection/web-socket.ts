/** Adapts a socket of `ws` to the transport. */
import type { WebSocket } from 'ws';
import { MAX_FRAME_BYTES } from '../../protocol/messages/rpc-messages.ts';
import type { TextSocket } from '../../protocol/messages/socket-transport.ts';

/** A close code of RFC 6455: only text is accepted. */
const UNSUPPORTED_DATA = 1003;

/** Maximum number of queued frames before reading pauses; the kernel's buffers then slow the peer down. */
const MAX_WAITING_FRAMES = 256;

export function fromWebSocket(socket: WebSocket): TextSocket {
  return {
    get bufferedAmount() {
      return socket.bufferedAmount;
    },
    send: text => socket.send(text, () => undefined),
    close: (code, reason) => socket.close(code, reason),
    terminate: () => socket.terminate(),
    onText: listener => {
      const take = oneByOne(socket, listener);
      socket.on('message', (data, isBinary) => {
        if (isBinary) socket.close(UNSUPPORTED_DATA, 'text frames only');
        else take(data.toString());
      });
    },
    onClose: listener => void socket.on('close', (code, reason) => listener(code, reason.toString())),
  };
}

/**
 * Delivers one frame per turn, as fast as vscode-jsonrpc handles them, and pauses the socket while many are queued: a fast peer must not
 * fill the memory.
 */
function oneByOne(socket: WebSocket, listener: (text: string) => void): (text: string) => void {
  const waiting: string[] = [];
  let characters = 0;
  const isFull = (): boolean => waiting.length >= MAX_WAITING_FRAMES || characters >= MAX_FRAME_BYTES;
  const next = (): void => {
    const text = waiting.shift() ?? '';
    characters -= text.length;
    if (waiting.length > 0) setImmediate(next);
    if (socket.isPaused && !isFull()) socket.resume();
    listener(text);
  };
  return text => {
    waiting.push(text);
    characters += text.length;
    if (waiting.length === 1) setImmediate(next);
    if (isFull()) socket.pause();
  };
}
