/** Scores of rows that need no compiled program: from the weights alone, at random, or from the norms of the inputs. */
import { createRandom, hashSeed } from '../random.ts';

/** √(Σ_j w²) of each row. @param weight [rows, …] flattened */
export function magnitude(weight: Float32Array, rows: number): Float32Array {
  const width = weight.length / rows;
  const scores = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    let sum = 0;
    for (let i = row * width; i < (row + 1) * width; i++) sum += (weight[i] as number) ** 2;
    scores[row] = Math.sqrt(sum);
  }
  return scores;
}

/** Uniform in [0, 1), from the seed and the module's name: the control that every measure has to beat. */
export function randomScores(name: string, count: number, seed: number): Float32Array {
  const random = createRandom(hashSeed(seed, name));
  return Float32Array.from({ length: count }, () => random.uniform());
}

/**
 * Σ_j |w_ij|·‖x_j‖₂ of each row (Sun et al. 2023, used there for single weights). For a convolution, x_j is the channel that an element
 * reads, over all positions, ignoring that elements do not read some positions at the border.
 * @param weight of this shape: [rows, inputs of a group, kernel …]
 * @param squares Σ x_j² over all positions, [inputs]; for a grouped convolution, the inputs of all groups, group by group
 */
export function wanda(weight: Float32Array, shape: readonly number[], squares: Float32Array): Float32Array {
  const [rows = 1, perGroup = 1, ...kernel] = shape;
  const perInput = kernel.reduce((n, d) => n * d, 1);
  const rowsPerGroup = (rows * perGroup) / squares.length;
  const norms = squares.map(Math.sqrt);
  return Float32Array.from({ length: rows }, (_, row) => {
    const first = Math.floor(row / rowsPerGroup) * perGroup;
    let sum = 0;
    for (let input = 0; input < perGroup; input++) {
      let size = 0;
      for (let k = 0; k < perInput; k++) size += Math.abs(weight[(row * perGroup + input) * perInput + k] as number);
      sum += size * (norms[first + input] as number);
    }
    return sum;
  });
}
