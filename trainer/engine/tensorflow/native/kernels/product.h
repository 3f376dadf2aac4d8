// Products of float32 or bfloat16 matrices on the thread pool of the fused steps.
#pragma once
#include <cstdint>
#include <vector>

// Computes c[b] = op(a[b]) · op(b[b]) for each b of a batch, all row-major and dense: op(a) is m × k, op(b) is k × n.
struct Product {
  int64_t batch, m, n, k;
  bool transpose_a, transpose_b;
};

// Returns false if this CPU lacks the vector instructions that these kernels need.
bool HasProducts();

// Computes the product. The result does not depend on the number of threads.
void RunProduct(const Product& product, const float* a, const float* b, float* c);

// Computes the same for bfloat16, given as bits: widened tile by tile, summed in float32 and rounded once.
void RunProduct(const Product& product, const uint16_t* a, const uint16_t* b, uint16_t* c);

// One of several products with the same transposes: c = op(a) · op(b), all row-major and dense. Any size may be 0.
struct SomeProduct {
  int64_t m, n, k;
  const float *a, *b;
  float* c;
};

// Computes all of them; the threads share them as if they were one product.
void RunProducts(const std::vector<SomeProduct>& products, bool transpose_a, bool transpose_b);
