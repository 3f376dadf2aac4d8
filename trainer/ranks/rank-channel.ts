/** The connection between the ranks of a run and the process that started them: JSON messages, one a line, over a local socket. */
import { closeSync, openSync } from 'node:fs';
import net from 'node:net';

/** The variable that tells a worker that it is a rank, and where its supervisor listens. */
export const RANK_SOCKET = 'ROWTUNE_RANK_SOCKET';

/** The first message of a rank. */
export interface RankHello {
  readonly rank: number;
  readonly pid: number;
  /**
   * The connection carries no messages: it only ends with the process. The end of the other one waits behind its messages, so that it may be seen after
   * that of a rank which the launcher ended because this one was gone.
   */
  readonly isLifeline?: true;
}

export interface Channel {
  /** Calls back when the message is on its way, or the other side is gone. */
  send(message: unknown, sent?: () => void): void;
  onMessage(listener: (message: unknown) => void): void;
  /** The other side is gone. */
  onEnd(listener: () => void): void;
  close(): void;
}

/** A result with the confusion of a thousand labels; longer messages are not ours. */
const MAX_MESSAGE_CHARACTERS = 64 * 2 ** 20;

export function channelOver(socket: net.Socket): Channel {
  // Its end follows as 'close'.
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
 * @param launcherFile the number of the open file by which the launcher notices the end of this process. It ends the other ranks then, and files of a
 * process that dies are closed from the highest number down: the connections get higher ones, so that the supervisor sees the end of this process first.
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

/** No process has as many open files as this. */
const MOST_FILES = 4096;

/** Opens files until all numbers below one are taken. */
function fillUpTo(number: number): readonly number[] {
  const opened: number[] = [];
  while (opened.length < MOST_FILES) {
    const file = openSync('/dev/null', 'r');
    opened.push(file);
    if (file > number) break;
  }
  return opened;
}
