/** The scheme of a data set's tags. */
import { DataError, type DataPlace } from '../data-error.ts';
import { byNumberOrName } from '../read/record-fields.ts';
import { OUTSIDE, tagParts } from './entities.ts';

/** `entities`: tags with a role (BIO, IOBES, BILOU); `plain`: labels of words, such as parts of speech. */
export type TagScheme = 'entities' | 'plain';

/** Detects the scheme. @param places where each tag occurs first @throws DataError if only some tags have a role */
export function tagScheme(places: ReadonlyMap<string, DataPlace>): TagScheme {
  const tags = [...places.keys()];
  const withRole = tags.filter(tag => tagParts(tag));
  if (withRole.length === 0) return 'plain';
  const stray = tags.find(tag => tag !== OUTSIDE && !tagParts(tag));
  if (stray !== undefined)
    throw new DataError({
      ...places.get(stray),
      problem: `the tag "${stray}", expected ${OUTSIDE} or a tag with a role, such as B-${stray}, since other words have the tag ${withRole[0]}`,
      advice: 'Write B- for the first word of an entity and I- for the others (BIO), or BILOU throughout',
    });
  const [ofIobes, ofBilou] = [tags.find(tag => /^[ES]-/.test(tag)), tags.find(tag => /^[LU]-/.test(tag))];
  if (ofIobes !== undefined && ofBilou !== undefined)
    throw new DataError({
      ...places.get(ofBilou),
      problem: `the tag "${ofBilou}" is of the scheme BILOU, but other words have the tag ${ofIobes} of the scheme IOBES`,
      advice: 'Use one scheme in the data of one run',
    });
  return 'entities';
}

/** Sorts tags as labels: outside first, then by type, and within a type by role. */
export function sortTags(tags: Iterable<string>): string[] {
  const keyOf = (tag: string): string => tagParts(tag)?.type ?? tag;
  return [...tags].sort(
    (a, b) => Number(b === OUTSIDE) - Number(a === OUTSIDE) || byNumberOrName(keyOf(a), keyOf(b)) || byNumberOrName(a, b),
  );
}
