/** Checks of the tensors that belong to a coded weight, by their headers, before anything is allocated. */
import type { FileProblem } from '../model-file-error.ts';
import type { TensorDType, TensorInfo } from '../tensor-source.ts';

export type Tensors = ReadonlyMap<string, TensorInfo>;

/** Types of scales. */
export const SCALE_TYPES: readonly TensorDType[] = ['F16', 'BF16', 'F32'];

/** The values of a weight that may not have more elements: four times the largest published matrix. */
const MAX_VALUES = 2 ** 33;

/** The sizes of a matrix, or of a stack of matrices: the experts of a layer. */
export interface Matrices {
  /** The number of matrices; empty for a single one. */
  readonly stack: readonly number[];
  readonly rows: number;
  readonly columns: number;
}

/** The tensors of one weight, and what is wrong with them. */
export class Parts {
  readonly problems: FileProblem[] = [];
  readonly names: string[] = [];
  private readonly tensors: Tensors;

  constructor(tensors: Tensors) {
    this.tensors = tensors;
  }

  /** Returns a tensor that the weight may lack. */
  optional(name: string, dtypes: readonly TensorDType[]): TensorInfo | undefined {
    const found = this.tensors.get(name);
    if (found === undefined) return undefined;
    this.names.push(name);
    if (!dtypes.includes(found.dtype)) return this.wrong(name, `is ${found.dtype}, not ${dtypes.join(' or ')}`);
    return found;
  }

  /** Returns a tensor that the weight needs; undefined after a problem. */
  needed(name: string, dtypes: readonly TensorDType[]): TensorInfo | undefined {
    if (!this.tensors.has(name)) return this.wrong(name, 'is missing');
    return this.optional(name, dtypes);
  }

  /** Checks a shape. Returns whether it fits. */
  fits({ name, shape }: TensorInfo, ...expected: readonly number[]): boolean {
    if (shape.join() === expected.join()) return true;
    this.wrong(name, `is [${shape.join(', ')}], not [${expected.join(', ')}]`);
    return false;
  }

  /** Checks that a tensor has two dimensions and describes a matrix within bounds. Returns the sizes. */
  matrix(info: TensorInfo): readonly [number, number] | undefined {
    if (info.shape.length !== 2) return this.wrong(info.name, `is [${info.shape.join(', ')}], not a matrix`);
    const found = this.matrices(info);
    return found && [found.rows, found.columns];
  }

  /** Checks that a tensor describes a matrix, or a stack of matrices, within bounds. Returns the sizes. */
  matrices({ name, shape }: TensorInfo): Matrices | undefined {
    const [columns = 0, rows = 0, ...stack] = shape.toReversed();
    if (shape.length !== 2 && shape.length !== 3) return this.wrong(name, `is [${shape.join(', ')}], not a matrix or a stack of matrices`);
    const isPositive = shape.every(size => size > 0);
    if (!isPositive || shape.reduce((n, size) => n * size, 1) > MAX_VALUES)
      return this.wrong(name, `is [${shape.join(', ')}], which no weight has`);
    return { stack, rows, columns };
  }

  wrong(tensor: string, message: string): undefined {
    this.problems.push({ tensor, message });
    return undefined;
  }
}

/** Returns the size of groups of neighboring columns, from the config or from the number of groups; undefined if neither fits. */
export function groupSizeOf(width: number, groups: number, sizes: readonly number[]): number | undefined {
  if (groups === 1) return width;
  return sizes.find(size => size > 0 && Math.ceil(width / size) === groups) ?? (width % groups === 0 ? width / groups : undefined);
}
