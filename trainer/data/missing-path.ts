/** Explains why there is no file at a path of data: addresses and patterns are not paths. */
import { dirname } from 'node:path';

export interface MissingPath {
  readonly problem: string;
  readonly advice: string;
  /** False for an address or a pattern. */
  readonly isPath: boolean;
  /** The name of the data set on the hub that an address leads to. */
  readonly dataSet?: string;
}

// A path that was made absolute has one slash after the colon.
const ADDRESS = /(?:^|[/\\])[a-z][a-z0-9]+:[/\\]+/i;
const HUB_ADDRESS = /(?:^|[/\\])(?:https?:[/\\]+(?:www\.)?(?:huggingface\.co|hf\.co)|hf:)[/\\]+datasets[/\\]([\w.-]+)[/\\]([\w.-]+)/i;

const NO_PATH = { isPath: false } as const;

/** @param path as the recipe writes it, or absolute */
export function explainMissing(path: string): MissingPath {
  const [, owner, name] = HUB_ADDRESS.exec(path) ?? [];
  if (owner !== undefined && name !== undefined)
    return {
      ...NO_PATH,
      problem: 'addresses are not read',
      advice: `Name the data set as the hub does: ${owner}/${name}`,
      dataSet: `${owner}/${name}`,
    };
  if (ADDRESS.test(path)) return { ...NO_PATH, problem: 'addresses are not read', advice: 'Download the file, and name its path' };
  if (!/[*?]/.test(path)) return { problem: 'no such file or folder', advice: 'Check the path', isPath: true };
  const folder = dirname(path.replace(/[*?].*$/s, 'x'));
  return {
    ...NO_PATH,
    problem: 'patterns with * or ? are not read',
    advice: `Name the folder ${folder}, of which all data files are read, or list the files`,
  };
}
