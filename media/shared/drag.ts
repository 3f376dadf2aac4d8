/** Distinguishes drags from clicks on a canvas. */

export interface DragParams<Held> {
  /** Called when the button goes down. Its result is passed to each move; undefined starts no drag. */
  hold(event: PointerEvent): Held | undefined;
  move(held: Held, event: PointerEvent): void;
  /** Called when the pointer moves without dragging; with `hoversInDrag`, also during a drag. */
  hover(event: PointerEvent): void;
  leave(): void;
  /** Called when the button goes up without a drag. */
  click?(event: PointerEvent): void;
  /** Pixels that the pointer may move during a click. */
  readonly slackPx: number;
  readonly hoversInDrag?: boolean;
}

export function onDrag<Held>(canvas: HTMLCanvasElement, params: DragParams<Held>): void {
  const { hold, move, hover, leave, click, slackPx, hoversInDrag = false } = params;
  let drag: { readonly x: number; readonly y: number; readonly held: Held; hasMoved: boolean } | undefined;
  canvas.addEventListener('pointerdown', event => {
    const held = event.button === 0 ? hold(event) : undefined;
    if (held === undefined) return;
    drag = { x: event.clientX, y: event.clientY, held, hasMoved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener('pointermove', event => {
    if (drag) drag.hasMoved ||= Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > slackPx;
    if (drag?.hasMoved) move(drag.held, event);
    if (!drag?.hasMoved || hoversInDrag) hover(event);
  });
  canvas.addEventListener('pointerup', event => {
    const wasDrag = drag?.hasMoved === true;
    drag = undefined;
    if (!wasDrag) click?.(event);
  });
  canvas.addEventListener('pointercancel', () => {
    drag = undefined;
  });
  canvas.addEventListener('pointerleave', leave);
}
