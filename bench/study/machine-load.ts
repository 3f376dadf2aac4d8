/** Detects whether a run shared the machine with processes outside the study. */
import os from 'node:os';

/** Processor time of the whole machine since it started, without idle time. */
export const busySeconds = (): number =>
  os.cpus().reduce((sum, { times: { user, nice, sys, irq } }) => sum + (user + nice + sys + irq) / 1000, 0);

/** Cores' worth of processor time that an idle system uses. */
const SYSTEM_SHARE = 0.15;

export interface Load {
  /** Processor time of all other processes during the run. */
  readonly others: number;
  /** Duration of the run. */
  readonly seconds: number;
  /** Number of cores that the other workers of the study may use. */
  readonly siblings: number;
}

/**
 * True if others used more processor time than the other workers can. The seconds are then unreliable; loss and accuracy are not affected.
 */
export const isBeside = ({ others, seconds, siblings }: Load): boolean => others > (siblings + SYSTEM_SHARE) * seconds;
