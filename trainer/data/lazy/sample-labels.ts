/** The labels of samples: a list of names, and an index for each sample. */

export interface SampleLabels {
  /** The names in the order of their first appearance, including names of records that are not samples. */
  readonly names: readonly string[];
  /** [samples] indices of the names; empty if samples have no labels. */
  readonly places: Uint32Array;
}

export interface LabelBuilder {
  /** Adds the labels of some samples. @param names label names of some records @param places indices of the samples' labels in `names` */
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
