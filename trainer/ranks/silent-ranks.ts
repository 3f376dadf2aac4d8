/** Finds the ranks that no longer answer over the network after an exchange has failed. */
import net from 'node:net';
import type { RankPlace } from '../protocol/messages/job-messages.ts';
import { RunError } from '../run-error.ts';

/** Much longer than any successful connection takes. */
const ANSWER_MS = 3000;

/** Returns the error; if it reports a lost rank, adds the ranks that do not answer. The addresses of MPI ranks are not known here. */
export async function namingSilentRanks(error: unknown, place: RankPlace | undefined): Promise<unknown> {
  const { addresses, rank: own } = place ?? {};
  if (!(error instanceof RunError) || error.code !== 'rank-lost' || addresses === undefined) return error;
  const answers = await Promise.all(addresses.map((address, rank) => rank === own || accepts(address)));
  const silent = addresses.flatMap((address, rank) => (answers[rank] ? [] : [`rank ${rank} (${address})`]));
  if (silent.length === 0) return error;
  const message = `${error.message}; ${silent.join(' and ')} ${silent.length === 1 ? 'does' : 'do'} not answer`;
  return new RunError(error.code, message, error.hint, { cause: error });
}

/** Returns whether a server at this host and port accepts a connection. */
function accepts(address: string): Promise<boolean> {
  const at = address.lastIndexOf(':');
  const host = address.slice(0, at).replace(/^\[(.*)\]$/, '$1');
  return new Promise(resolve => {
    const socket = net.connect({ host, port: Number(address.slice(at + 1)), timeout: ANSWER_MS });
    const end = (answers: boolean): void => {
      socket.destroy();
      resolve(answers);
    };
    socket.on('connect', () => end(true));
    socket.on('timeout', () => end(false));
    socket.on('error', () => end(false));
  });
}
