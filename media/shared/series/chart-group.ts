/** Charts with a common x axis: they share the visible range and the cursor. */
import type { Range } from './resample.ts';

export interface GroupMember {
  /** The first and last x; undefined without points. */
  extent(): Range | undefined;
  /** Called when the shared range or the data changed. */
  draw(): void;
  /** Shows the cursor at `x`; undefined hides it. */
  showCursor(x: number | undefined): void;
}

/** Minimum visible share of the full range. */
const NARROWEST = 1e-9;

export class ChartGroup {
  private readonly members = new Set<GroupMember>();
  private readonly listeners = new Set<(x: number | undefined) => void>();
  private readonly zoomListeners = new Set<(isZoomed: boolean) => void>();
  private zoomed: Range | undefined;
  private at: number | undefined;
  private frame: number | undefined;

  add(member: GroupMember): () => void {
    this.members.add(member);
    return () => this.members.delete(member);
  }

  /** The visible range: the full range until the user zooms, so that it grows with a running run. */
  get range(): Range {
    return this.zoomed ?? this.extent;
  }

  get extent(): Range {
    const found = [...this.members].flatMap(member => member.extent() ?? []);
    if (found.length === 0) return { min: 0, max: 1 };
    const [min, max] = [Math.min(...found.map(range => range.min)), Math.max(...found.map(range => range.max))];
    return { min, max: max > min ? max : min + 1 };
  }

  get isZoomed(): boolean {
    return this.zoomed !== undefined;
  }

  get cursor(): number | undefined {
    return this.at;
  }

  onCursor(listener: (x: number | undefined) => void): void {
    this.listeners.add(listener);
  }

  onZoom(listener: (isZoomed: boolean) => void): void {
    this.zoomListeners.add(listener);
  }

  setCursor(x: number | undefined): void {
    if (x === this.at) return;
    this.at = x;
    for (const member of this.members) member.showCursor(x);
    for (const listener of this.listeners) listener(x);
  }

  zoom(range: Range): void {
    const { min, max } = this.extent;
    const clipped = { min: Math.max(min, range.min), max: Math.min(max, range.max) };
    if (clipped.max - clipped.min <= NARROWEST * (max - min)) return;
    this.setZoom(clipped.min <= min && clipped.max >= max ? undefined : clipped);
  }

  /** @param factor below 1 zooms in around `x` */
  zoomAround(x: number, factor: number): void {
    const { min, max } = this.range;
    this.zoom({ min: x - (x - min) * factor, max: x + (max - x) * factor });
  }

  /** @param share of the visible width; positive moves right */
  pan(share: number): void {
    if (!this.zoomed) return;
    const all = this.extent;
    const width = this.zoomed.max - this.zoomed.min;
    const min = Math.min(all.max - width, Math.max(all.min, this.zoomed.min + share * width));
    this.zoom({ min, max: min + width });
  }

  reset(): void {
    this.setZoom(undefined);
  }

  private setZoom(range: Range | undefined): void {
    this.zoomed = range;
    for (const listener of this.zoomListeners) listener(this.isZoomed);
    this.changed();
  }

  /** Draws every chart in the next frame, once for any number of calls. */
  changed(): void {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      for (const member of this.members) member.draw();
    });
  }
}
