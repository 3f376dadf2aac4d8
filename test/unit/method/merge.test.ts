/** Tests merging the tensors that a method keeps in addition to the weights. */
import { expect, test } from 'vitest';
import { addProduct } from '../../../trainer/method/lora/add-product.ts';
import { largestDifference } from '../../../trainer/verify/verify-model.ts';

test('W + (alpha / r)·B·A against the definition', () => {
  const [out, width, r, alpha] = [5, 7, 3, 6];
  const random = (n: number, seed: number) => Float32Array.from({ length: n }, (_, i) => Math.sin(i * 12.9898 + seed) * 3);
  const [w, a, b] = [random(out * width, 1), random(r * width, 2), random(out * r, 3)];
  const expected = w.map((value, at) => {
    const [i, j] = [Math.floor(at / width), at % width];
    let sum = 0;
    for (let k = 0; k < r; k++) sum += (b[i * r + k] as number) * (a[k * width + j] as number);
    return value + (alpha / r) * sum;
  });
  expect(largestDifference(addProduct(w, a, b, { r, alpha }), [...expected])).toBeLessThan(2e-6);
});
