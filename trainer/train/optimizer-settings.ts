/** The settings of an optimizer. */

export type OptimizerName = 'adamw' | 'adam' | 'sgd';

export interface OptimizerSettings {
  readonly name: OptimizerName;
  readonly weightDecay: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly momentum: number;
  /** The update after which young rows began (`Trainable.young`); their moments are corrected by the updates since. */
  readonly youngAfter?: number;
  /** Moments of at least so many numbers are kept in 8 bits; left out, all are float32. */
  readonly eightBitFrom?: number;
  /** Left out, the state lies where the model is computed. */
  readonly offload?: Offload;
}

export interface Offload {
  readonly to: 'host' | 'disk';
  /** The weights lie in a GPU's memory and the update runs on the host, so that its numbers travel; else the state does. */
  readonly fromGpu: boolean;
  /** Groups of fewer trained numbers stay where they are. */
  readonly from: number;
}
