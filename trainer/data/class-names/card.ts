/** Reads the columns of a data set from the README.md of its repository. */
import { parse } from 'yaml';
import { isRecord } from '../../narrow.ts';
import { excessOf } from '../../protocol/recipe/text-bounds.ts';
import { cardFeatures, type Features, FeaturesError } from './features.ts';

/** A configuration (subset) of a data set. */
export interface CardConfig {
  readonly name: string | undefined;
  readonly features: Features;
}

/** The configurations that a card describes; none if it is not the card of a data set. @throws FeaturesError */
export function readCard(text: string): readonly CardConfig[] {
  const front = /^---\r?\n(.*?)\r?\n---/s.exec(text)?.[1];
  if (front === undefined || !/^dataset_info:/m.test(front)) return [];
  const excess = excessOf(front);
  if (excess) throw new FeaturesError(`describes columns at too great a length: ${excess.message}`);
  const info = infoIn(front);
  const all = Array.isArray(info) ? info.filter(isRecord) : isRecord(info) ? [info] : [];
  return all.map(({ config_name: name, features }) => ({
    name: typeof name === 'string' ? name : undefined,
    features: cardFeatures(features),
  }));
}

/** @throws FeaturesError */
function infoIn(front: string): unknown {
  let facts: unknown;
  try {
    facts = parse(front, { logLevel: 'error' });
  } catch {
    throw new FeaturesError('describes columns in malformed YAML');
  }
  return isRecord(facts) ? facts.dataset_info : undefined;
}

/**
 * The configurations that a file may belong to: those whose name is a folder of its path, or else all.
 * @param folders the names of the folders between the card and the file, and the name of the file up to its first sign
 */
export function configsOf(card: readonly CardConfig[], folders: readonly string[]): readonly CardConfig[] {
  const named = card.filter(({ name }) => name !== undefined && folders.includes(name));
  return named.length > 0 ? named : card;
}
