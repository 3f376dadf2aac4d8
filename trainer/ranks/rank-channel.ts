/** The connection between the ranks of a run and the process that started them: JSON messages, one per line, over a local socket. */
import { closeSync, openSync } from 'node:fs';
import net from 'node:net';

/** The environment variable that makes a worker a rank; it holds the supervisor's socket path. */
export const RANK_SOCKET = 'ROWTUNE_RANK_SOCKET';

/** The first message of a rank. */
export interface RankHello {
  readonly rank: number;
  readonly pid: number;
  /**
   * True if the connection carries no messages and only ends with the process. The end of the other connection is queued after its
   * messages, so it may be seen after the end of a rank that the launcher killed because this one had died.
   */
  readonly isLifeline?: true;
}

export interface Channel {
  /** Calls back once the message is sent, or the other side is gone. */
  send(message: unknown, sent?: () => void): void;
  onMessage(listener: (message: unknown) => void): void;
  /** Calls back when the other side is gone. */
  onEnd(listener: () => void): void;
  close(): void;
}

/** Room for a result with the confusion matrix of a thousand labels; no message of ours is longer. */
const MAX_MESSAGE_CHARACTERS = 64 * 2 ** 20;

export function channelOver(socket: net.Socket): Channel {
  // A 'close' event follows.
  socket.on('error', () => undefined);
  return {
    send: (message, sent = () => undefined) => {
      if (socket.writable) socket.write(`${JSON.stringify(message)}\n`, () => sent());
      else sent();
    },
    onMessage: listener => {
      let rest = '';
      socket.setEncoding('utf8').on('data', (chunk: string) => {
        const [last = '', ...before] = (rest + chunk).split('\n').reverse();
        rest = last;
        for (const line of before.reverse()) listener(parsed(line));
        if (rest.length > MAX_MESSAGE_CHARACTERS) socket.destroy();
      });
    },
    onEnd: listener => void socket.on('close', listener),
    close: () => socket.destroy(),
  };
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/**
 * Connects a rank with its supervisor.
 * @param launcherFile file descriptor through which the launcher notices the end of this process, and then kills the other ranks. The
 * descriptors of a dying process are closed from the highest down, so the connections get higher ones: the supervisor sees the end of this
 * process first.
 */
export function connectRank(path: string, hello: RankHello, launcherFile?: number): Channel {
  const placeholders = launcherFile === undefined ? [] : fillUpTo(launcherFile);
  const lifeline = net.connect(path).unref();
  const messages = net.connect(path);
  for (const file of placeholders) closeSync(file);
  channelOver(lifeline).send({ ...hello, isLifeline: true } satisfies RankHello);
  const channel = channelOver(messages);
  channel.send(hello);
  return channel;
}

/** Safety limit: no process has this many open files. */
const MAX_FILES = 4096;

/** Opens files until all descriptors up to this one are taken. */
function fillUpTo(number: number): readonly number[] {
  const opened: number[] = [];
  while (opened.length < MAX_FILES) {
    const file = openSync('/dev/null', 'r');
    opened.push(file);
    if (file > number) break;
  }
  return opened;
}
