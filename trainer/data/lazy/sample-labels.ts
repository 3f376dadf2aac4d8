/** The labels of samples by place: names once, and a number for each sample. */

export interface SampleLabels {
  /** In the order of their first appearance, those of records included that are no samples. */
  readonly names: readonly string[];
  /** [samples] places among the names; empty where samples have no labels. */
  readonly places: Uint32Array;
}

export interface LabelBuilder {
  /** Adds the labels of some samples. @param names those of some records @param places the labels of the samples among them */
  add(names: readonly string[], places: Uint32Array): void;
  end(): SampleLabels;
}

export function labelBuilder(): LabelBuilder {
  const names = new Map<string, number>();
  const parts: Uint32Array[] = [];
  return {
    add(own, places) {
      const known = own.map(name => {
        const place = names.get(name) ?? names.size;
        names.set(name, place);
        return place;
      });
      if (places.length > 0) parts.push(places.map(place => known[place] ?? 0));
    },
    end() {
      const places = new Uint32Array(parts.reduce((sum, { length }) => sum + length, 0));
      let at = 0;
      for (const part of parts) {
        places.set(part, at);
        at += part.length;
      }
      return { names: [...names.keys()], places };
    },
  };
}
