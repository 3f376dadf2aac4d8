/** Sums over the processes of a run: the operations of `native/operations/group-operations.cc`. */
import type { OpName } from '../../../graph/attributes.ts';
import { sumForms } from '../../../graph/sum-forms.ts';
import { EngineError } from '../../engine.ts';
import type { LoweringContext, LoweringTable } from '../lowering.ts';
import { type Attributes, attr } from '../node-def.ts';

/** Emits a sum on the CPU: if a GPU computes, trained rows are few enough to pass through the host's memory. */
function emitOnHost(
  { emitter, inputs, hasSums }: Pick<LoweringContext<OpName>, 'emitter' | 'inputs' | 'hasSums'>,
  operation: string,
  attributes: Attributes,
): string {
  if (!hasSums)
    throw new EngineError('sums over processes need the kernels of this version of Rowtune; compile them: rowtune engine install');
  let sum = '';
  emitter.onHost(() => {
    sum = emitter.emit(operation, inputs, attributes);
  });
  return sum;
}

export const processLowerings: Pick<LoweringTable, 'beginSum' | 'endSum'> = {
  beginSum: call => {
    const { as, residual } = call.attrs;
    const { code, keepsLoss } = sumForms[as];
    return emitOnHost(call, 'RowtuneBeginSum', { form: attr.int(code), residual: attr.string(keepsLoss ? residual : '') });
  },
  endSum: call => emitOnHost(call, 'RowtuneEndSum', {}),
};
