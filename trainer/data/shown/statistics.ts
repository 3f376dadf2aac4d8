/** Statistics of all samples of a run's data: lengths, batch shapes, labels, and samples that deserve a look. */
import type { BatchShape, DataStatistics, Finding, PartStatistics, SamplePlace } from '../../protocol/view/data.ts';
import type { BatchPlan } from '../batch/batch-plan.ts';
import { lengthQuantiles } from './data-report.ts';

export interface SampleFacts {
  readonly file: string;
  readonly line?: number | undefined;
  /** Number of tokens of its longest sequence; `tokens` counts those of all its sequences. */
  readonly length: number;
  readonly tokens: number;
  readonly targets: number;
  readonly labels?: readonly string[];
  /** Identifies the model's input. */
  readonly input: string;
  /** Identifies the whole sample, including its answer or label. */
  readonly whole: string;
  /** Whether the answer consists only of its end token; left out if the sample has no answer, such as a text with a label. */
  readonly isEmpty?: boolean;
}

/** The training data of a run, or its held-out data. */
export interface LoadedPart {
  readonly count: number;
  readonly facts: Iterable<SampleFacts>;
  /** The batches of an epoch, if there is a sample. */
  readonly plan: BatchPlan | undefined;
}

export interface LoadedData {
  readonly train: LoadedPart;
  readonly held: LoadedPart;
}

/** Creates a part whose facts are computed sample by sample, on demand. */
export function loadedPart<Sample>(
  samples: Iterable<Sample> & { readonly length: number },
  factsOf: (sample: Sample) => SampleFacts,
  plan?: BatchPlan,
): LoadedPart {
  function* facts(): Generator<SampleFacts> {
    for (const sample of samples) yield factsOf(sample);
  }
  return { count: samples.length, facts: facts(), plan };
}

/** Maximum number of samples to compare; each takes about 100 bytes for its two identities. */
const MAX_COMPARED = 2_000_000;
const MAX_GROUPS = 20;
const MAX_IN_GROUP = 5;
const MAX_LABELS = 1000;
const BINS = 24;

/** Collects the statistics. @param reports lines about each part that was read */
export async function dataStatistics(
  { train, held }: LoadedData,
  reports: readonly string[],
  onSample: () => Promise<void> | undefined = () => undefined,
): Promise<DataStatistics> {
  const leaks = new Groups();
  let trained: ReadonlyMap<string, SamplePlace> = new Map();
  const parts: PartStatistics[] = [];
  for (const [part, data] of [
    ['train', train],
    ['held', held],
  ] as const) {
    const collected = new PartFacts();
    for (const facts of data.facts) {
      const isCompared = collected.add(facts);
      await onSample();
      const same = isCompared ? trained.get(facts.input) : undefined;
      if (same) leaks.add(facts.input, same, { ...placeOf(facts), held: true });
    }
    trained = collected.inputs;
    if (collected.count > 0) parts.push(collected.end(part, data.plan));
  }
  return { parts, leaks: leaks.end(), reports, comparedAtMost: MAX_COMPARED };
}

const placeOf = ({ file, line }: SampleFacts): SamplePlace => (line === undefined ? { file } : { file, line });

/** Groups samples by a key; does not count the first sample of a key. */
class Groups {
  private readonly groups = new Map<string, SamplePlace[]>();
  private count = 0;

  add(key: string, first: SamplePlace, place: SamplePlace): void {
    this.count++;
    const known = this.groups.get(key);
    if (known) {
      if (known.length < MAX_IN_GROUP) known.push(place);
    } else if (this.groups.size < MAX_GROUPS) this.groups.set(key, [first, place]);
  }

  end(): Finding {
    return { count: this.count, groups: [...this.groups.values()] };
  }
}

class PartFacts {
  /** The first sample of each input. */
  readonly inputs = new Map<string, SamplePlace>();
  private readonly lengths: number[] = [];
  private readonly tokensOf: number[] = [];
  private targets = 0;
  private readonly labels = new Map<string, number>();
  private readonly wholes = new Map<string, SamplePlace>();
  private readonly duplicates = new Groups();
  private readonly conflicts = new Groups();
  private readonly empty: SamplePlace[][] = [];
  private emptyCount = 0;
  private hasAnswers = false;

  get count(): number {
    return this.lengths.length;
  }

  /** Adds a sample. @returns whether it is compared with the others */
  add(facts: SampleFacts): boolean {
    this.lengths.push(facts.length);
    this.tokensOf.push(facts.tokens);
    this.targets += facts.targets;
    for (const label of facts.labels ?? []) this.labels.set(label, (this.labels.get(label) ?? 0) + 1);
    if (facts.isEmpty !== undefined) this.hasAnswers = true;
    if (facts.isEmpty) {
      this.emptyCount++;
      if (this.empty.length < MAX_GROUPS) this.empty.push([placeOf(facts)]);
    }
    if (this.count > MAX_COMPARED) return false;
    this.compare(facts);
    return true;
  }

  private compare(facts: SampleFacts): void {
    const { whole, input } = facts;
    const place = placeOf(facts);
    const same = this.wholes.get(whole);
    if (same) {
      this.duplicates.add(whole, same, place);
      return;
    }
    this.wholes.set(whole, place);
    const other = this.inputs.get(input);
    if (other) this.conflicts.add(input, other, place);
    else this.inputs.set(input, place);
  }

  end(part: PartStatistics['part'], plan: BatchPlan | undefined): PartStatistics {
    const lengths = lengthQuantiles(this.lengths);
    const labels = [...this.labels].sort(([, a], [, b]) => b - a).slice(0, MAX_LABELS);
    return {
      part,
      samples: this.count,
      tokens: this.tokensOf.reduce((sum, tokens) => sum + tokens, 0),
      targets: this.targets,
      lengths,
      histogram: histogram(this.lengths, lengths),
      shapes: plan ? shapesOf(plan, this.tokensOf) : [],
      padding: plan?.paddingShare ?? 0,
      labels: labels.map(([name, count]) => ({ name, count })),
      duplicates: this.duplicates.end(),
      conflicts: this.conflicts.end(),
      ...(this.hasAnswers && { emptyAnswers: { count: this.emptyCount, groups: this.empty } }),
    };
  }
}

/** Bins of equal width from the shortest to the longest. */
function histogram(lengths: readonly number[], { min, max }: PartStatistics['lengths']): PartStatistics['histogram'] {
  const width = Math.max(1, Math.ceil((max + 1 - min) / BINS));
  const counts = new Array<number>(Math.ceil((max + 1 - min) / width)).fill(0);
  for (const length of lengths) {
    const bin = Math.floor((length - min) / width);
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
  return counts.map((count, bin) => ({ from: min + bin * width, to: min + (bin + 1) * width, count }));
}

/** The shapes of the first epoch, shortest first; shapes that differ only in targets are merged. */
function shapesOf(plan: BatchPlan, tokensOf: readonly number[]): BatchShape[] {
  const shapes = new Map<string, { batch: number; tokens: number; batches: number; samples: number; used: number }>();
  for (const { bucket, rows } of plan.epoch(0)) {
    const { batch, tokens } = bucket;
    const key = `${batch}×${tokens}`;
    const shape = shapes.get(key) ?? { batch, tokens, batches: 0, samples: 0, used: 0 };
    shapes.set(key, shape);
    shape.batches++;
    for (const { sequences } of rows)
      for (const sequence of sequences) {
        shape.samples++;
        shape.used += tokensOf[sequence] ?? 0;
      }
  }
  return [...shapes.values()]
    .sort((a, b) => a.tokens - b.tokens)
    .map(({ used, ...shape }) => ({ ...shape, padding: 1 - used / (shape.batches * shape.batch * shape.tokens) }));
}
