/** Settings that take effect only in a command that a person types. */
import { type TransportName, transportCatalog } from '../catalog/transports.ts';
import type { JobContext } from '../protocol/messages/job-messages.ts';
import { RunError } from '../run-error.ts';

/** @throws RunError 'unsupported' for a transport that opens ports, if no person has typed the command */
export function requireTypedCommand(transport: TransportName, { opensPorts }: Pick<JobContext, 'opensPorts'>): void {
  if (!transportCatalog[transport].opensPorts || opensPorts) return;
  throw new RunError(
    'unsupported',
    `process_transport: ${transport} opens a port in each process, so neither the editor nor the daemon starts it`,
    'Start it yourself with --no-daemon: rowtune train RECIPE --no-daemon',
  );
}
