/** Draws canvases at the screen's resolution, at most once per frame. */

export interface Painter {
  readonly canvas: HTMLCanvasElement;
  readonly context: CanvasRenderingContext2D;
  /** Size in CSS pixels. */
  readonly size: { readonly width: number; readonly height: number };
  /** Requests a redraw in the next frame; repeated calls have no further effect. */
  request(): void;
  dispose(): void;
}

/** @param draw draws on a cleared canvas, in CSS pixels */
export function createPainter(canvas: HTMLCanvasElement, draw: (painter: Painter) => void): Painter {
  const context = canvas.getContext('2d');
  if (!context) throw new Error('this editor does not provide a canvas');
  const size = { width: 0, height: 0 };
  let frame: number | undefined;

  function paint(): void {
    frame = undefined;
    if (size.width === 0 || size.height === 0 || !context) return;
    const ratio = devicePixelRatio;
    const [width, height] = [Math.round(size.width * ratio), Math.round(size.height * ratio)];
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, size.width, size.height);
    draw(painter);
  }

  const watcher = new ResizeObserver(() => {
    size.width = canvas.clientWidth;
    size.height = canvas.clientHeight;
    // Draw at once, because a resized canvas would flicker.
    if (frame !== undefined) cancelAnimationFrame(frame);
    paint();
  });
  watcher.observe(canvas);

  const painter: Painter = {
    canvas,
    context,
    size,
    request: () => {
      frame ??= requestAnimationFrame(paint);
    },
    dispose: () => {
      watcher.disconnect();
      if (frame !== undefined) cancelAnimationFrame(frame);
    },
  };
  return painter;
}
