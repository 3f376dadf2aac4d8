/** All metrics of a run by name and step, collected from its metrics lines. */
import { TrainingTime } from '../../../trainer/protocol/run/training-time.ts';
import type { MetricsPatch } from '../../../trainer/protocol/view/run.ts';
import { Numbers } from './numbers.ts';

/** The points of a curve: x is ascending, without gaps. */
export interface Points {
  readonly x: Float64Array;
  readonly y: Float64Array;
}

/** The possible x axes of a curve. `train_seconds` is the time spent in updates up to a line. */
export const X_AXES = ['step', 'epoch', 'train_seconds'] as const;
export type XAxis = (typeof X_AXES)[number];

interface Curve {
  readonly x: Numbers;
  readonly y: Numbers;
  /** Number of rows processed so far. */
  rows: number;
}

export class MetricHistory {
  private columns = new Map<string, Numbers>();
  private curves = new Map<string, Curve>();
  private rows = 0;
  private time = new TrainingTime();
  /** Number of resets; values from before the newest one are discarded. */
  generation = 0;

  /** Number of metrics lines. */
  get length(): number {
    return this.rows;
  }

  /** Names of all metrics, including the axes. */
  get names(): string[] {
    return [...this.columns.keys()];
  }

  append({ reset, length, columns }: Pick<MetricsPatch, 'reset' | 'length' | 'columns'>): void {
    if (reset) {
      this.columns = new Map();
      this.curves = new Map();
      this.rows = 0;
      this.time = new TrainingTime();
      this.generation++;
    }
    for (const name of [...Object.keys(columns), ...X_AXES]) if (!this.columns.has(name)) this.columns.set(name, this.empty());
    for (let row = 0; row < length; row++) {
      for (const [name, column] of this.columns) if (name !== 'train_seconds') column.push(columns[name]?.[row] ?? Number.NaN);
      this.pushTime();
      this.rows++;
    }
  }

  /** The points of a metric that has values. The same arrays grow with later lines. */
  points(name: string, axis: XAxis = 'step'): Points {
    const key = `${axis} ${name}`;
    const curve = this.curves.get(key) ?? { x: new Numbers(), y: new Numbers(), rows: 0 };
    this.curves.set(key, curve);
    const [xs, ys] = [this.columns.get(axis), this.columns.get(name)];
    for (; curve.rows < this.rows; curve.rows++) {
      const [x, y] = [xs?.at(curve.rows) ?? Number.NaN, ys?.at(curve.rows) ?? Number.NaN];
      if (!Number.isFinite(x) || !Number.isFinite(y)) continue;
      curve.x.push(x);
      curve.y.push(y);
    }
    return { x: curve.x.view(), y: curve.y.view() };
  }

  /** The highest value of a metric. */
  highest(name: string): number | undefined {
    const { y } = this.points(name);
    return y.length > 0 ? y.reduce((a, b) => Math.max(a, b)) : undefined;
  }

  /** The newest value of a metric. */
  last(name: string): number | undefined {
    const column = this.columns.get(name);
    for (let row = this.rows - 1; column && row >= 0; row--) if (Number.isFinite(column.at(row))) return column.at(row);
    return undefined;
  }

  /** The values of one line by name, without missing ones. */
  row(index: number): Record<string, number> {
    return Object.fromEntries(
      [...this.columns].flatMap(([name, column]) => (Number.isFinite(column.at(index)) ? [[name, column.at(index)]] : [])),
    );
  }

  private empty(): Numbers {
    const column = new Numbers();
    for (let row = 0; row < this.rows; row++) column.push(Number.NaN);
    return column;
  }

  private pushTime(): void {
    this.time.add({ step: this.columns.get('step')?.at(this.rows), seconds: this.columns.get('seconds')?.at(this.rows) });
    this.columns.get('train_seconds')?.push(this.time.seconds);
  }
}
