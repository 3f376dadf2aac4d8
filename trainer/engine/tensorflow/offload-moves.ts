/** Moves variables to the file that stores them between their uses, and back. */
import { valueFor } from '../../narrow.ts';
import type { Emitter } from './emitter.ts';
import type { LoweringContext } from './lowering.ts';
import { attr } from './node-def.ts';
import type { OffloadFile } from './offload-file.ts';

export type Offloaded = Pick<OffloadFile, 'file' | 'offsets'>;

type VariableLookup = Pick<LoweringContext<'read'>, 'handle' | 'variableType'>;

export class Mover {
  private readonly offloaded: Offloaded;
  private readonly lookup: VariableLookup;

  constructor(offloaded: Offloaded, lookup: VariableLookup) {
    this.offloaded = offloaded;
    this.lookup = lookup;
  }

  get variables(): ReadonlySet<string> {
    return new Set(this.offloaded.offsets.keys());
  }

  moves(variable: string): boolean {
    return this.offloaded.offsets.has(variable);
  }

  bringBack(emitter: Emitter, variable: string): void {
    this.move(emitter, 'RowtuneReadBack', variable);
  }

  putAway(emitter: Emitter, variable: string): void {
    this.move(emitter, 'RowtuneWriteOut', variable);
  }

  private move(emitter: Emitter, op: string, variable: string): void {
    const { file, offsets } = this.offloaded;
    const T = attr.type(this.lookup.variableType(variable));
    emitter.onHost(() => {
      const alias = emitter.emit('ReadVariableOp', [this.lookup.handle(variable)], { dtype: T });
      emitter.emit(op, [alias], { T, file: attr.int(file), offset: attr.int(valueFor(offsets, variable)) });
    });
  }
}
