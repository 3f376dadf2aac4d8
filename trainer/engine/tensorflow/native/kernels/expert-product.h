// Products of rows with the matrices of the experts that they were assigned to, on the thread pool of the fused steps.
#pragma once
#include <cstdint>

// Assignment t reads row t · rows / assignments of a matrix with `rows` rows, which divide the assignments.
struct Assignments {
  int64_t experts, count;
  const int32_t* ids;
};

struct Matrix {
  const float* at;
  int64_t rows, columns;
};

// y[t] = W · x for the matrix [out, in] of each assignment's expert, which lie one below the other in `stack`; `transposed`: Wᵀ · x.
// False where an id is none of the experts.
bool RunExpertProduct(const Assignments& assignments, const Matrix& x, const Matrix& stack, bool transposed, float* y);

// Σ a[t] ⊗ b[t] over the assignments of each expert, [experts · out, in], or only the `count` rows that are listed.
// False where an id is none of the experts, or a row none of the result.
bool RunExpertGradient(const Assignments& assignments, const Matrix& a, const Matrix& b, const int32_t* rows, int64_t count, float* c);
