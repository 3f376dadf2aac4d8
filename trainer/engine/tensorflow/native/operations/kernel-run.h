// Common helpers of our kernels: handles that free themselves, and one run of a kernel.
#pragma once
#include <functional>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "tensorflow-c-api.h"

struct DeleteStatus {
  void operator()(TF_Status* status) const { TF_DeleteStatus(status); }
};
using Status = std::unique_ptr<TF_Status, DeleteStatus>;

struct DeleteTensor {
  void operator()(TF_Tensor* tensor) const { TF_DeleteTensor(tensor); }
};
using Tensor = std::unique_ptr<TF_Tensor, DeleteTensor>;

inline std::vector<int64_t> ShapeOf(const TF_Tensor* tensor) {
  std::vector<int64_t> shape;
  for (int i = 0; i < TF_NumDims(tensor); i++) shape.push_back(TF_Dim(tensor, i));
  return shape;
}

inline int64_t ElementsOf(const std::vector<int64_t>& shape) { return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>()); }

// Returns the kernel for TensorFlow to keep, if its attributes were read and are valid; otherwise reports the status as a construction
// error and returns null.
template <typename Kernel>
void* Constructed(TF_OpKernelConstruction* construction, TF_Status* status, std::unique_ptr<Kernel> kernel) {
  if (TF_GetCode(status) == TF_OK) return kernel.release();
  TF_OpKernelConstruction_Failure(construction, status);
  return nullptr;
}

// One run of a kernel; errors become the run's error.
class Run {
 public:
  explicit Run(TF_OpKernelContext* context) : context(context), status_(TF_NewStatus()) {}

  TF_Status* status() { return status_.get(); }
  bool Failed() {
    if (TF_GetCode(status()) == TF_OK) return false;
    TF_OpKernelContext_Failure(context, status());
    return true;
  }
  // Ends the run with an error about its input.
  void Refuse(const char* problem) {
    TF_SetStatus(status(), TF_INVALID_ARGUMENT, problem);
    Failed();
  }
  // Returns an input; null on failure.
  Tensor Input(int i) {
    TF_Tensor* input = nullptr;
    TF_GetInput(context, i, &input, status());
    return Tensor(Failed() ? nullptr : input);
  }

  TF_OpKernelContext* const context;

 private:
  const Status status_;
};
