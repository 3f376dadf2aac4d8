#include "few-rows-operation.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "../kernels/few-rows.h"
#include "../kernels/vector-math.h"

namespace {

struct FewRowsKernel {
  TF_DataType type = TF_FLOAT, stored = TF_FLOAT;
  int64_t out = 0, block = 0;
  WeightForm form = WeightForm::kFloat32;
};

// Returns false for a type that no weight has.
bool FormOf(TF_DataType stored, WeightForm& form) {
  switch (stored) {
    case TF_FLOAT: form = WeightForm::kFloat32; return true;
    case TF_BFLOAT16: form = WeightForm::kBfloat16; return true;
    case TF_INT8: form = WeightForm::kInt8; return true;
    case TF_UINT8: form = WeightForm::kCodes; return true;
    default: return false;
  }
}

// Returns the size of a weight in bytes.
size_t BytesOf(WeightForm form, int64_t elements) {
  switch (form) {
    case WeightForm::kFloat32: return static_cast<size_t>(4 * elements);
    case WeightForm::kBfloat16: return static_cast<size_t>(2 * elements);
    case WeightForm::kInt8: return static_cast<size_t>(elements);
    case WeightForm::kCodes: return static_cast<size_t>(elements / 2);
  }
  return 0;
}

bool HasBytes(const Tensor& tensor, size_t bytes) { return TF_TensorByteSize(tensor.get()) == bytes; }

}  // namespace

void* CreateFewRows(TF_OpKernelConstruction* construction) {
  const Status status(TF_NewStatus());
  auto kernel = std::make_unique<FewRowsKernel>();
  TF_OpKernelConstruction_GetAttrType(construction, "T", &kernel->type, status.get());
  if (TF_GetCode(status.get()) == TF_OK) TF_OpKernelConstruction_GetAttrType(construction, "W", &kernel->stored, status.get());
  if (TF_GetCode(status.get()) == TF_OK) TF_OpKernelConstruction_GetAttrInt64(construction, "out", &kernel->out, status.get());
  if (TF_GetCode(status.get()) == TF_OK) TF_OpKernelConstruction_GetAttrInt64(construction, "block", &kernel->block, status.get());
  const bool is_possible = (kernel->type == TF_FLOAT || kernel->type == TF_BFLOAT16) && FormOf(kernel->stored, kernel->form) && kernel->out > 0 &&
                           (kernel->form != WeightForm::kCodes || (kernel->block > 0 && kernel->block % kFewRowsLanes == 0));
  if (TF_GetCode(status.get()) == TF_OK && !is_possible)
    TF_SetStatus(status.get(), TF_INVALID_ARGUMENT, "RowtuneFewRows: the types or the size of the blocks are not supported");
  return Constructed(construction, status.get(), std::move(kernel));
}

void DestroyFewRows(void* kernel) { delete static_cast<FewRowsKernel*>(kernel); }

void RunFewRowsOperation(void* kernel, TF_OpKernelContext* context) {
  const auto& [type, stored, out, block, form] = *static_cast<const FewRowsKernel*>(kernel);
  Run run(context);
  const Tensor x = run.Input(0), weight = run.Input(1);
  if (!x || !weight) return;
  const bool has_codes = form == WeightForm::kCodes;
  if (TF_NumInputs(context) != (has_codes ? 4 : 2)) return run.Refuse("RowtuneFewRows: scales and levels belong to codes, and only to them");
  const Tensor scales = has_codes ? run.Input(2) : nullptr, levels = has_codes ? run.Input(3) : nullptr;
  if (has_codes && (!scales || !levels)) return;
  const std::vector<int64_t> shape = ShapeOf(x.get());
  if (shape.size() != 2 || shape[0] < 1 || shape[0] > kMostFewRows || shape[1] % kFewRowsLanes != 0)
    return run.Refuse("RowtuneFewRows: the number of rows or columns is not supported");
  const int64_t rows = shape[0], in = shape[1], elements = in * out;
  const bool fits = HasBytes(weight, BytesOf(form, elements)) &&
                    (!has_codes || (in % block == 0 && HasBytes(scales, static_cast<size_t>(4 * elements / block)) && HasBytes(levels, 64)));
  if (!fits) return run.Refuse("RowtuneFewRows: the weight has another number of elements, scales or levels");
  const int64_t result[] = {rows, out};
  const size_t bytes = static_cast<size_t>(rows * out) * (type == TF_FLOAT ? 4 : 2);
  const Tensor output(TF_AllocateOutput(context, 0, type, result, 2, bytes, run.status()));
  if (run.Failed()) return;
  StoredWeight read{form, TF_TensorData(weight.get())};
  if (has_codes) {
    read.scales = static_cast<const float*>(TF_TensorData(scales.get()));
    read.levels = static_cast<const float*>(TF_TensorData(levels.get()));
    read.block = block;
    read.rounds = type == TF_BFLOAT16;
  }
  if (type == TF_FLOAT) {
    RunFewRows(read, rows, in, out, static_cast<const float*>(TF_TensorData(x.get())), static_cast<float*>(TF_TensorData(output.get())));
    return;
  }
  const auto* narrow = static_cast<const uint16_t*>(TF_TensorData(x.get()));
  std::vector<float> wide(static_cast<size_t>(rows * in)), sums(static_cast<size_t>(rows * out));
  std::transform(narrow, narrow + rows * in, wide.begin(), FromBfloat16);
  RunFewRows(read, rows, in, out, wide.data(), sums.data());
  std::transform(sums.begin(), sums.end(), static_cast<uint16_t*>(TF_TensorData(output.get())), ToBfloat16);
}
