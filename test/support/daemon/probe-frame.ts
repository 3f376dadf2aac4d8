/** Sends a frame to the daemon, and finds out whether the connection still answers afterwards. */
import type { WebSocket } from 'ws';

/** Time limit for an answer in ms; longer than the daemon takes on a busy machine. */
const ANSWER_MS = 30_000;

export type FrameOutcome = 'answered' | 'closed' | 'silent';

/** Sends a frame followed by a request. Resolves when the request is answered, the connection closes, or time runs out. */
export function probeFrame(socket: WebSocket, frame: string, probe: string): Promise<FrameOutcome> {
  return new Promise(resolve => {
    const done = (outcome: FrameOutcome): void => {
      clearTimeout(timer);
      socket.off('message', take).off('close', closed);
      resolve(outcome);
    };
    const timer = setTimeout(() => done('silent'), ANSWER_MS);
    const take = (data: object): void => {
      if (String(data).includes(`"id":"${probe}"`)) done('answered');
    };
    const closed = (): void => done('closed');
    socket.on('message', take).on('close', closed);
    socket.send(frame);
    socket.send(`{"jsonrpc":"2.0","id":"${probe}","method":"daemon/status"}`);
  });
}
