/** A socket of `ws` as the transport wants it. */
import type { WebSocket } from 'ws';
import type { TextSocket } from '../protocol/socket-transport.ts';

/** Of RFC 6455: only text is spoken here. */
const UNSUPPORTED_DATA = 1003;

export function fromWebSocket(socket: WebSocket): TextSocket {
  return {
    get bufferedAmount() {
      return socket.bufferedAmount;
    },
    send: text => socket.send(text, () => undefined),
    close: (code, reason) => socket.close(code, reason),
    terminate: () => socket.terminate(),
    onText: listener =>
      void socket.on('message', (data, isBinary) => {
        if (isBinary) socket.close(UNSUPPORTED_DATA, 'text frames only');
        else listener(data.toString());
      }),
    onClose: listener => void socket.on('close', (code, reason) => listener(code, reason.toString())),
  };
}
