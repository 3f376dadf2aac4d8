/** The settings of an optimizer. */

export type OptimizerName = 'adamw' | 'adam' | 'sgd';

export interface OptimizerSettings {
  readonly name: OptimizerName;
  readonly weightDecay: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly momentum: number;
  /**
   * The update after which young rows were added (`Trainable.young`); the bias correction of their moments counts the updates since then.
   */
  readonly youngAfter?: number;
  /** Moments with at least this many values are stored in 8 bits; by default, all are float32. */
  readonly eightBitFrom?: number;
  /** The place that the state is offloaded to; by default, it stays where the model is computed. */
  readonly offload?: Offload;
}

export interface Offload {
  readonly to: 'host' | 'disk';
  /**
   * True if the weights are in GPU memory and the update runs on the host, so that trained values and gradients are moved; otherwise the
   * state is moved.
   */
  readonly fromGpu: boolean;
  /** Groups with fewer trained values are not offloaded. */
  readonly from: number;
}
