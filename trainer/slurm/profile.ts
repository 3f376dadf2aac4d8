/** The resources that a run requests from Slurm: a YAML file that belongs to a cluster, not to a recipe. */
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { parse as parseYaml, YAMLParseError } from 'yaml';
import { z } from 'zod';
import { didYouMean } from '../catalog/did-you-mean.ts';
import { readRegularText } from '../files/regular-file.ts';
import { codeOf, messageOf } from '../protocol/error-facts.ts';
import { counted, processesText } from '../protocol/text/format.ts';
import { RunError } from '../run-error.ts';

const count = z.int().min(1).max(100_000);
/** Values become lines of a shell script that start with #SBATCH, so a line break would end the line. */
const word = z.string().regex(/^[\w.,:=@%+/[\]-]+$/, 'must be one word of letters, digits and . , : = @ % + / [ ] -');

const profile = z.strictObject({
  partition: word.optional(),
  account: word.optional(),
  qos: word.optional(),
  constraint: word.optional(),
  nodes: count.default(1),
  /** Processes of the run on each node. */
  tasks_per_node: count.default(1),
  cpus_per_task: count.optional(),
  gpus_per_task: count.optional(),
  /** Memory of each node, such as 16G. */
  memory: word.optional(),
  /** Maximum time of the job: minutes, or D-HH:MM:SS. */
  time: z.union([word, z.int().min(1)]).optional(),
  /** Seconds between the notice and the end of the job: time for a last update and a checkpoint. */
  notice_seconds: z.int().min(1).max(65_535).default(120),
  /** The plugin that connects the processes; `srun --mpi=list` lists those of a cluster. */
  mpi: word.default('pmi2'),
  /** Tasks in the job array of a sweep, each of which trains one run after another. */
  workers: count.default(16),
  /** Time without a sign of life after which a worker of a sweep counts as lost. */
  lost_after_seconds: z.int().min(6).max(86_400).default(120),
  /** Additional arguments of sbatch, such as --exclusive. */
  sbatch: z.array(word.startsWith('--')).default([]),
  /** Shell commands before the run, such as `module load openmpi`. */
  setup: z.string().max(10_000).default(''),
});

export type SlurmProfile = z.infer<typeof profile>;

/** Limit: a profile is about a page, so a larger file is something else. */
const MAX_BYTES = 2 ** 16;
const NAME = 'slurm.yaml';

/**
 * Reads the profile from the named file; otherwise slurm.yaml from the first of these folders that has one; otherwise the defaults.
 * @throws RunError 'bad-profile'
 */
export async function readProfile(named: string | undefined, folders: readonly string[]): Promise<SlurmProfile> {
  const file = named ?? folders.map(folder => path.join(folder, NAME)).find(existsSync);
  return file === undefined ? profile.parse({}) : parseProfile(await textOf(file), file);
}

/** Suffix of additional profiles in a folder, and the number of them that are offered. */
const NAMED = '.slurm.yaml';
const MAX_NAMED = 50;

/** Lists the profile that applies to these folders, then the additional ones in the first folder (gpu.slurm.yaml). */
export async function listProfiles(folders: readonly string[]): Promise<readonly string[]> {
  const usual = folders.map(folder => path.join(folder, NAME)).filter(existsSync);
  const [first = ''] = folders;
  const names = await readdir(first).catch((): string[] => []);
  const named = names.filter(name => name.endsWith(NAMED)).sort();
  return [...new Set([...usual, ...named.slice(0, MAX_NAMED).map(name => path.join(first, name))])];
}

/** Describes the resources of a profile: "partition gpu, 2 nodes with 4 processes each, 8 cores and 1 GPU per process, up to 8:00:00". */
export function describeProfile({
  partition,
  nodes,
  tasks_per_node: each,
  cpus_per_task: cpus,
  gpus_per_task: gpus,
  ...rest
}: SlurmProfile): string {
  const devices = [cpus === undefined ? undefined : counted(cpus, 'core'), gpus === undefined ? undefined : counted(gpus, 'GPU')];
  const named = devices.filter(text => text !== undefined);
  const parts = [
    partition === undefined ? undefined : `partition ${partition}`,
    `${counted(nodes, 'node')} with ${processesText(each)}${nodes === 1 ? '' : ' each'}`,
    named.length === 0 ? undefined : `${named.join(' and ')} per process`,
    rest.memory === undefined ? undefined : `${rest.memory} per node`,
    rest.time === undefined ? undefined : `up to ${typeof rest.time === 'number' ? counted(rest.time, 'minute') : rest.time}`,
  ];
  return parts.filter(text => text !== undefined).join(', ');
}

async function textOf(file: string): Promise<string> {
  try {
    return await readRegularText(file, MAX_BYTES);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') throw new RunError('bad-profile', `there is no Slurm profile ${file}`, 'Check the path');
    throw bad(file, messageOf(error), { cause: error });
  }
}

/** Parses a profile. @throws RunError 'bad-profile' that names the file and every problem */
function parseProfile(text: string, file: string): SlurmProfile {
  let value: unknown;
  try {
    value = parseYaml(text) ?? {};
  } catch (error) {
    if (!(error instanceof YAMLParseError)) throw error;
    throw bad(file, error.message, { cause: error });
  }
  const parsed = profile.safeParse(value);
  if (parsed.success) return parsed.data;
  throw bad(file, parsed.error.issues.map(describeIssue).join('; '));
}

function describeIssue(issue: z.core.$ZodIssue): string {
  if (issue.code !== 'unrecognized_keys') return `${issue.path.join('.') || 'the file'}: ${issue.message}`;
  const names = Object.keys(profile.shape);
  return issue.keys
    .map(key => {
      const near = didYouMean(key, names);
      return `there is no setting '${key}'${near === undefined ? '' : `; did you mean '${near}'?`}`;
    })
    .join('; ');
}

const bad = (file: string, problem: string, options?: ErrorOptions): RunError =>
  new RunError(
    'bad-profile',
    `the Slurm profile ${file} is not valid: ${problem}`,
    `Its settings are ${Object.keys(profile.shape).join(', ')}`,
    options,
  );
