/** Whether a run shared the machine with work that is not of the study. */
import os from 'node:os';

/** Processor time of the whole machine since it started, that of idle cores left out. */
export const busySeconds = (): number =>
  os.cpus().reduce((sum, { times: { user, nice, sys, irq } }) => sum + (user + nice + sys + irq) / 1000, 0);

/** The share of a core that an idle system takes. */
const SYSTEM_SHARE = 0.15;

export interface Load {
  /** Processor time of all processes but the run's own while it ran. */
  readonly others: number;
  /** The length of the run. */
  readonly seconds: number;
  /** Cores that the other workers of the study may use. */
  readonly siblings: number;
}

/** Whether others used more than the other workers can. Then the seconds say little, and loss and accuracy are what they are. */
export const isBeside = ({ others, seconds, siblings }: Load): boolean => others > (siblings + SYSTEM_SHARE) * seconds;
