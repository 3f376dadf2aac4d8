/** Collects the properties of each sample in growing typed arrays while data is read. */
import type { DataRecord, Example } from '../types.ts';
import type { ExampleColumns } from './example-store.ts';
import type { TokenizedRecords } from './tokenize-records.ts';

const FIRST_LENGTH = 1024;

type Numbers = Uint32Array | Int32Array;

class Column<T extends Numbers> {
  private values: T;
  private readonly make: (length: number) => T;
  length = 0;

  constructor(make: (length: number) => T) {
    this.make = make;
    this.values = make(FIRST_LENGTH);
  }

  push(value: number): void {
    if (this.length === this.values.length) {
      const larger = this.make(2 * this.length);
      larger.set(this.values);
      this.values = larger;
    }
    this.values[this.length++] = value;
  }

  /** Returns the values without spare capacity. */
  end(): T {
    const exact = this.make(this.length);
    exact.set(this.values.subarray(0, this.length));
    return exact;
  }
}

const whole = () => new Column(length => new Uint32Array(length));
const signed = () => new Column(length => new Int32Array(length));

/** Assigns indices to names, in the order of their appearance. */
class Names {
  readonly list: string[] = [];
  private readonly places = new Map<string, number>();

  place(name: string): number {
    let place = this.places.get(name);
    if (place === undefined) {
      place = this.list.push(name) - 1;
      this.places.set(name, place);
    }
    return place;
  }
}

export class ColumnBuilder {
  private readonly starts = whole();
  private readonly targets = whole();
  private readonly files = whole();
  private readonly lines = whole();
  private readonly elements = signed();
  private readonly labels = signed();
  private readonly documents = whole();
  private readonly fileNames = new Names();
  private readonly labelNames = new Names();
  /** Document numbers for files that are listed more than once; in other files, the parts of a document are consecutive. */
  private readonly repeated = new Map<string, number>();
  private readonly twice: ReadonlySet<string>;
  private readonly images: Array<Example['images']> = [];
  private nextDocument = 0;
  private largestId = 0;
  tokens = 0;

  /** @param files in the order in which they are read */
  constructor(files: readonly string[]) {
    const seen = new Set<string>();
    this.twice = new Set(files.filter(file => seen.size === seen.add(file).size));
  }

  get length(): number {
    return this.targets.length;
  }

  /** Adds the samples that were made from records. */
  add(records: readonly DataRecord[], made: TokenizedRecords): void {
    let [last, document] = [-1, -1];
    for (const [sample, length] of made.lengths.entries()) {
      const place = made.records[sample] as number;
      const record = records[place];
      if (record === undefined) throw new RangeError(`no record ${place} among ${records.length}`);
      const { file, line, element } = record;
      if (place !== last) [last, document] = [place, this.documentOf(file, line, element)];
      const label = made.labels[sample];
      this.starts.push(this.tokens);
      this.targets.push(made.targets[sample] as number);
      this.files.push(this.fileNames.place(file));
      this.lines.push(line);
      this.elements.push(element ?? -1);
      this.labels.push(label === undefined ? -1 : this.labelNames.place(label));
      this.documents.push(document);
      const images = made.images?.[sample];
      if (images) this.images[this.length - 1] = images;
      this.tokens += length;
    }
    this.largestId = Math.max(this.largestId, made.largestId);
  }

  private documentOf(file: string, line: number, element: number | undefined): number {
    if (!this.twice.has(file)) return this.nextDocument++;
    const name = `${file}:${line}:${element ?? ''}`;
    const known = this.repeated.get(name);
    if (known !== undefined) return known;
    this.repeated.set(name, this.nextDocument);
    return this.nextDocument++;
  }

  end(): ExampleColumns {
    this.starts.push(this.tokens);
    return {
      starts: this.starts.end(),
      targets: this.targets.end(),
      files: this.files.end(),
      lines: this.lines.end(),
      elements: this.elements.end(),
      labels: this.labels.end(),
      documents: this.documents.end(),
      fileNames: this.fileNames.list,
      labelNames: this.labelNames.list,
      largestId: this.largestId,
      ...(this.images.length > 0 && { images: this.images }),
    };
  }
}
