/** [rows, width] → [width, rows]. */
export function transpose(x: Float32Array, width: number): Float32Array {
  const rows = x.length / width;
  const out = new Float32Array(x.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < width; j++) out[j * rows + i] = x[i * width + j] as number;
  return out;
}
