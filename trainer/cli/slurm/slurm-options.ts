/** The options of the commands that submit to Slurm. */
import path from 'node:path';
import { readProfile } from '../../slurm/profile.ts';
import { ownCommand, type SubmitOptions } from '../../slurm/submit-script.ts';
import type { CommandContext } from '../command.ts';

export interface SlurmOptions {
  /** A profile; if left out, the one next to the recipe, or the user's own. */
  readonly profile?: string;
  readonly detach: boolean;
}

/** @param folder the folder in which a profile may be @throws RunError 'bad-profile' */
export async function submitOptions(
  { cwd, settings }: CommandContext,
  folder: string,
  { profile }: Pick<SlurmOptions, 'profile'>,
): Promise<SubmitOptions> {
  const named = profile === undefined ? undefined : path.resolve(cwd, profile);
  return { profile: await readProfile(named, [folder, settings.configDir]), command: ownCommand(), opensPorts: true };
}
