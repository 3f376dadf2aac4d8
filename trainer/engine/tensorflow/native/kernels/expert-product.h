// Products of rows with the matrices of the experts that they are assigned to, on the thread pool of the fused steps.
#pragma once
#include <cstdint>

// Assignment t reads row t · rows / assignments of a matrix whose number of rows divides the number of assignments.
struct Assignments {
  int64_t experts, count;
  const int32_t* ids;
};

struct Matrix {
  const float* at;
  int64_t rows, columns;
};

// Computes y[t] = W · x with the matrix [out, in] of each assignment's expert; the matrices are stacked in `stack`. `transposed`: Wᵀ · x.
// Returns false if an id is not that of an expert.
bool RunExpertProduct(const Assignments& assignments, const Matrix& x, const Matrix& stack, bool transposed, float* y);

// Computes Σ a[t] ⊗ b[t] over the assignments of each expert, [experts · out, in], or only the `count` listed rows. Returns false if an
// expert id or a row index is out of range.
bool RunExpertGradient(const Assignments& assignments, const Matrix& a, const Matrix& b, const int32_t* rows, int64_t count, float* c);
