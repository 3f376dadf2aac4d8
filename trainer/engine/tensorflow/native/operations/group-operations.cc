#include "group-operations.h"

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "rank-group.h"

namespace {

// Returns the input's own buffer if nothing else holds it, otherwise a new one; null on failure.
Tensor OutputLike(Run& run, const TF_Tensor* input) {
  const std::vector<int64_t> shape = ShapeOf(input);
  const int candidate = 0;
  int forwarded = -1;
  Tensor output(TF_ForwardInputOrAllocateOutput(run.context, &candidate, 1, 0, shape.data(), static_cast<int>(shape.size()), &forwarded, run.status()));
  return run.Failed() ? nullptr : std::move(output);
}

// Returns the output with the input's values. The input handle is released first, because a buffer that is held twice is not forwarded.
Tensor Passed(Run& run) {
  Tensor input = run.Input(0);
  if (!input) return nullptr;
  Tensor output = OutputLike(run, input.get());
  if (output && TF_TensorData(output.get()) != TF_TensorData(input.get()))
    std::memcpy(TF_TensorData(output.get()), TF_TensorData(input.get()), TF_TensorByteSize(input.get()));
  return output;
}

struct BeginSumKernel {
  SumForm form = SumForm::kFloat32;
  std::string residual;
};

}  // namespace

void* CreateBeginSum(TF_OpKernelConstruction* construction) {
  const Status status(TF_NewStatus());
  auto kernel = std::make_unique<BeginSumKernel>();
  int64_t form = 0;
  TF_OpKernelConstruction_GetAttrInt64(construction, "form", &form, status.get());
  kernel->form = static_cast<SumForm>(form);
  int32_t list = 0, length = 0;
  TF_OpKernelConstruction_GetAttrSize(construction, "residual", &list, &length, status.get());
  if (TF_GetCode(status.get()) == TF_OK && length > 0) {
    kernel->residual.resize(static_cast<size_t>(length));
    TF_OpKernelConstruction_GetAttrString(construction, "residual", kernel->residual.data(), kernel->residual.size(), status.get());
  }
  return kernel.release();
}

void DestroyBeginSum(void* kernel) { delete static_cast<BeginSumKernel*>(kernel); }

void* CreateNothing(TF_OpKernelConstruction*) {
  static char nothing;
  return &nothing;
}

void DestroyNothing(void*) {}

void RunBeginSum(void* kernel, TF_OpKernelContext* context) {
  Run run(context);
  Tensor output = Passed(run);
  if (!output) return;
  float* const data = static_cast<float*>(TF_TensorData(output.get()));
  const int64_t count = static_cast<int64_t>(TF_TensorByteSize(output.get()) / sizeof(float));
  const auto& [form, residual] = *static_cast<const BeginSumKernel*>(kernel);
  BeginSum(data, count, form, residual, output.release(), [](void* tensor) { TF_DeleteTensor(static_cast<TF_Tensor*>(tensor)); });
}

void RunEndSum(void*, TF_OpKernelContext* context) {
  Run run(context);
  std::string problem;
  {
    const Tensor begun = run.Input(0);
    if (!begun) return;
    problem = EndSum(static_cast<const float*>(TF_TensorData(begun.get())));
  }
  if (!problem.empty()) {
    TF_SetStatus(run.status(), TF_INTERNAL, ("the sum over the ranks failed: " + problem).c_str());
    run.Failed();
    return;
  }
  Passed(run);
}
