/** The pieces of a text with entities, and the color of each type. Pure. */
import type { TryEntity } from '../../trainer/protocol/view/try.ts';

/** Colors of entity types; a seventh type has the color of the first. */
export const ENTITY_COLORS = ['blue', 'orange', 'green', 'purple', 'red', 'yellow'] as const;

export interface EntityPiece {
  readonly text: string;
  /** Undefined for text between entities. */
  readonly entity?: TryEntity;
  /** The color of the entity; types get colors in alphabetical order. */
  readonly color?: (typeof ENTITY_COLORS)[number];
}

/** Splits the whole text into pieces, in order. Entities that overlap, or lie outside the text, are omitted. */
export function entityPieces(text: string, entities: readonly TryEntity[]): EntityPiece[] {
  const types = [...new Set(entities.map(({ type }) => type))].sort();
  const pieces: EntityPiece[] = [];
  let at = 0;
  const between = (end: number): void => {
    if (end > at) pieces.push({ text: text.slice(at, end) });
  };
  for (const entity of [...entities].sort((a, b) => a.start - b.start)) {
    if (entity.start < at || entity.end <= entity.start || entity.end > text.length) continue;
    between(entity.start);
    pieces.push({
      text: text.slice(entity.start, entity.end),
      entity,
      color: ENTITY_COLORS[types.indexOf(entity.type) % ENTITY_COLORS.length],
    });
    at = entity.end;
  }
  between(text.length);
  return pieces;
}
