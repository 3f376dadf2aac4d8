/** Creates a signature from a single trace. */
import { assemble, type Signature, type Traced } from '../../../trainer/graph/program.ts';
import { required } from '../../../trainer/narrow.ts';

/** Assembles a trace. @param effects none by default */
export function signatureOf({ effects = [], ...trace }: Omit<Traced, 'effects'> & Partial<Pick<Traced, 'effects'>>): Signature {
  return required(assemble({ run: { ...trace, effects } }).signatures.run, 'run');
}
