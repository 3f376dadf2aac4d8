/** The port that a server listens on. */
import type { Server } from 'node:net';

/** Returns the port. @throws Error if the server does not listen, or listens on a named pipe */
export function portOf(server: Pick<Server, 'address'>): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server listens on no port');
  return address.port;
}
