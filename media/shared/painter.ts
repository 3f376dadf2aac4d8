/** Canvases that are as sharp as the screen, drawn at most once a frame. */

export interface Painter {
  readonly canvas: HTMLCanvasElement;
  readonly context: CanvasRenderingContext2D;
  /** In the pixels of style sheets. */
  readonly size: { readonly width: number; readonly height: number };
  /** Draws with the next frame, however often it is asked. */
  request(): void;
  dispose(): void;
}

/** @param draw on a cleared canvas, in the pixels of style sheets */
export function createPainter(canvas: HTMLCanvasElement, draw: (painter: Painter) => void): Painter {
  const context = canvas.getContext('2d');
  if (!context) throw new Error('this editor gives no canvas to draw on');
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
    // At once: a canvas of the old size would flicker.
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
