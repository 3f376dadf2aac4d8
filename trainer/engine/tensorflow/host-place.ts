/**
 * The address of a host array from which a variable is filled, by the operation that `native/operations/host-operation.cc` registers: the
 * variable's own memory is written once, while a fed tensor would first be aligned and then copied.
 */
import type { HostArray, TensorSpec } from '../../graph/types.ts';
import type { Emitter } from './emitter.ts';
import type { KernelLibrary } from './kernel-library.ts';
import { attr } from './node-def.ts';

/** `HostForm` of host-operation.h. */
const FORM = { same: 0n, bits: 1n, zeros: 2n };

const PLACE: TensorSpec = { shape: [4], dtype: 'int32' };

/** Emits a placeholder for an address, and the values found there. */
export function emitPlace(emitter: Emitter, { shape, dtype }: TensorSpec): { placeholder: string; value: string } {
  const placeholder = emitter.source('Placeholder', { dtype: attr.type(PLACE.dtype), shape: attr.shape(PLACE.shape) });
  return { placeholder, value: emitter.emit('RowtuneHost', [placeholder], { T: attr.type(dtype), shape: attr.ints(shape) }) };
}

/**
 * Returns the value to feed for an array, which must stay alive and unchanged until the run is over; bfloat16 bits may be used for a
 * float32 variable.
 */
export function placeOf(library: Pick<KernelLibrary, 'addressOf'>, data: HostArray | 'zeros', { dtype }: TensorSpec): Int32Array {
  const form = data === 'zeros' ? 'zeros' : dtype === 'float32' && data instanceof Uint16Array ? 'bits' : 'same';
  const address = data === 'zeros' ? 0n : library.addressOf(data);
  return new Int32Array(BigUint64Array.of(address, FORM[form]).buffer);
}

export const placePort = <Port extends { readonly spec: TensorSpec }>(port: Port): Port => ({ ...port, spec: PLACE });
