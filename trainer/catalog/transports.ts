/** How the processes of a run connect to each other. Code asks for a capability of an entry. */

export interface TransportEntry {
  readonly label: string;
  /** One sentence for completion, hover and help. */
  readonly summary: string;
  /**
   * Whether each process listens on all addresses of its machine without authentication: only a command that a person types may start it.
   */
  readonly opensPorts: boolean;
  /** Whether gradients can be sent in fewer bits. */
  readonly narrows: boolean;
}

const entries = {
  mpi: {
    label: 'MPI',
    summary: 'The MPI of the machine or cluster, whose launcher connects the processes.',
    opensPorts: false,
    narrows: true,
  },
  grpc: {
    label: 'TensorFlow collectives over gRPC',
    summary:
      'For machines without MPI: each process opens a port to everyone who can reach it, so use it only in a network that you trust.',
    opensPorts: true,
    narrows: false,
  },
} as const satisfies Readonly<Record<string, TransportEntry>>;

export type TransportName = keyof typeof entries;
export const transportCatalog: Readonly<Record<TransportName, TransportEntry>> = entries;
