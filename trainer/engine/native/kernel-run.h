// What every kernel of ours needs: handles that free themselves, and one run of a kernel.
#pragma once
#include <memory>

#include "tensorflow-c-api.h"

struct DeleteStatus {
  void operator()(TF_Status* status) const { TF_DeleteStatus(status); }
};
using Status = std::unique_ptr<TF_Status, DeleteStatus>;

struct DeleteTensor {
  void operator()(TF_Tensor* tensor) const { TF_DeleteTensor(tensor); }
};
using Tensor = std::unique_ptr<TF_Tensor, DeleteTensor>;

// One run of a kernel; what goes wrong becomes the run's error.
class Run {
 public:
  explicit Run(TF_OpKernelContext* context) : context(context), status_(TF_NewStatus()) {}

  TF_Status* status() { return status_.get(); }
  bool Failed() {
    if (TF_GetCode(status()) == TF_OK) return false;
    TF_OpKernelContext_Failure(context, status());
    return true;
  }
  // Null where that failed.
  Tensor Input(int i) {
    TF_Tensor* input = nullptr;
    TF_GetInput(context, i, &input, status());
    return Tensor(Failed() ? nullptr : input);
  }

  TF_OpKernelContext* const context;

 private:
  const Status status_;
};
