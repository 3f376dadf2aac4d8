/** Extracts entities from a sequence of tags, and counts how many are found. */

/** An entity of the words from `start` to `end` (exclusive) of a sentence. */
export interface Entity {
  readonly type: string;
  readonly start: number;
  readonly end: number;
}

/** The role of a tag in its entity. `E` and `L` mark the last word, `S` and `U` a single word. */
const ROLES: Readonly<Record<string, 'B' | 'I' | 'E' | 'S'>> = { B: 'B', I: 'I', E: 'E', L: 'E', S: 'S', U: 'S' };

const TAG = /^([BIELSU])-(.+)$/s;

/** The tag of a word outside of every entity. */
export const OUTSIDE = 'O';

/** `B-PER` → its role and type; undefined for `O` and for tags without a scheme. */
export function tagParts(tag: string): { readonly role: 'B' | 'I' | 'E' | 'S'; readonly type: string } | undefined {
  const [, letter = '', type = ''] = TAG.exec(tag) ?? [];
  const role = ROLES[letter];
  return role && { role, type };
}

/**
 * The entities of one sentence, by the rules of the CoNLL-2000 evaluation, as in seqeval. An entity also begins if the type changes or an
 * inside tag follows an outside one, so every sequence has entities, whether it conforms to its scheme or not.
 */
export function entitiesOf(tags: readonly string[]): Entity[] {
  const found: Entity[] = [];
  let open: { readonly type: string; readonly start: number } | undefined;
  let before: ReturnType<typeof tagParts>;
  for (const [at, tag] of [...tags, OUTSIDE].entries()) {
    const now = tagParts(tag);
    const continues = before !== undefined && now !== undefined && before.type === now.type && !ends(before.role) && !begins(now.role);
    if (open && !continues) {
      found.push({ ...open, end: at });
      open = undefined;
    }
    if (now && !continues) open = { type: now.type, start: at };
    before = now;
  }
  return found;
}

const ends = (role: string): boolean => role === 'E' || role === 'S';
const begins = (role: string): boolean => role === 'B' || role === 'S';

export interface EntityCounts {
  readonly actual: number;
  readonly predicted: number;
  /** Number of predictions with the right words and the right type. */
  readonly correct: number;
}

/** The counts for each type, over sentences of actual and predicted tags. */
export function countEntities(
  sentences: Iterable<readonly [actual: readonly string[], predicted: readonly string[]]>,
): Map<string, EntityCounts> {
  const counts = new Map<string, EntityCounts>();
  const add = (type: string, more: Partial<EntityCounts>): void => {
    const { actual, predicted, correct } = counts.get(type) ?? { actual: 0, predicted: 0, correct: 0 };
    counts.set(type, {
      actual: actual + (more.actual ?? 0),
      predicted: predicted + (more.predicted ?? 0),
      correct: correct + (more.correct ?? 0),
    });
  };
  for (const [actual, predicted] of sentences) {
    const truth = entitiesOf(actual);
    const places = new Set(truth.map(nameOf));
    for (const { type } of truth) add(type, { actual: 1 });
    for (const entity of entitiesOf(predicted)) add(entity.type, { predicted: 1, correct: Number(places.has(nameOf(entity))) });
  }
  return counts;
}

const nameOf = ({ type, start, end }: Entity): string => `${start} ${end} ${type}`;

export interface EntityScores {
  readonly precision: number;
  readonly recall: number;
  /** The harmonic mean of precision and recall. */
  readonly f1: number;
}

/** Scores of counts; 0 in place of a division by zero, as in seqeval. */
export function entityScores(counts: Iterable<EntityCounts>): EntityScores {
  let [actual, predicted, correct] = [0, 0, 0];
  for (const count of counts) {
    actual += count.actual;
    predicted += count.predicted;
    correct += count.correct;
  }
  const precision = predicted === 0 ? 0 : correct / predicted;
  const recall = actual === 0 ? 0 : correct / actual;
  return { precision, recall, f1: actual + predicted === 0 ? 0 : (2 * correct) / (actual + predicted) };
}
