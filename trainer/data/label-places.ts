/** Maps each label to its index. */
export const placesOf = (labels: readonly string[]): ReadonlyMap<string, number> => new Map(labels.map((name, place) => [name, place]));
