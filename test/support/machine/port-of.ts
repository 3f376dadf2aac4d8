/** Returns the port of a test's server. */
import type { Server } from 'node:net';

/** @throws Error if the server does not listen on a port */
export function portOf(server: Pick<Server, 'address'>): number {
  const address = server.address();
  if (typeof address === 'object' && address !== null) return address.port;
  throw new Error(`the server listens on ${address ?? 'nothing'}`);
}
