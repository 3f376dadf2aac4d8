#include "unpack-operation.h"

#include <memory>
#include <vector>

#include "../kernels/unpack.h"

namespace {

struct UnpackKernel {
  TF_DataType type = TF_FLOAT;
  std::vector<int64_t> shape;
  int64_t block = 0, elements = 0;
};

void ReadAttributes(TF_OpKernelConstruction* construction, UnpackKernel& kernel, TF_Status* status) {
  int32_t count = 0, bytes = 0;
  TF_OpKernelConstruction_GetAttrType(construction, "T", &kernel.type, status);
  if (TF_GetCode(status) == TF_OK) TF_OpKernelConstruction_GetAttrInt64(construction, "block", &kernel.block, status);
  if (TF_GetCode(status) == TF_OK) TF_OpKernelConstruction_GetAttrSize(construction, "shape", &count, &bytes, status);
  if (TF_GetCode(status) != TF_OK) return;
  kernel.shape.resize(static_cast<size_t>(count));
  TF_OpKernelConstruction_GetAttrInt64List(construction, "shape", kernel.shape.data(), count, status);
  kernel.elements = ElementsOf(kernel.shape);
  const bool is_possible = (kernel.type == TF_FLOAT || kernel.type == TF_BFLOAT16) && kernel.block > 0 && kernel.block % kCodesAtATime == 0 &&
                           kernel.elements % kernel.block == 0;
  if (TF_GetCode(status) == TF_OK && !is_possible)
    TF_SetStatus(status, TF_INVALID_ARGUMENT, "RowtuneUnpack: the result has to be float32 or bfloat16 in whole blocks of a multiple of 32 elements");
}

}  // namespace

void* CreateUnpack(TF_OpKernelConstruction* construction) {
  const Status status(TF_NewStatus());
  auto kernel = std::make_unique<UnpackKernel>();
  ReadAttributes(construction, *kernel, status.get());
  return Constructed(construction, status.get(), std::move(kernel));
}

void DestroyUnpack(void* kernel) { delete static_cast<UnpackKernel*>(kernel); }

void RunUnpack(void* kernel, TF_OpKernelContext* context) {
  const UnpackKernel& unpack = *static_cast<const UnpackKernel*>(kernel);
  Run run(context);
  const Tensor codes = run.Input(0), scales = run.Input(1), levels = run.Input(2);
  if (!codes || !scales || !levels) return;
  const int64_t blocks = unpack.elements / unpack.block;
  const auto has = [](const Tensor& tensor, int64_t bytes) { return TF_TensorByteSize(tensor.get()) == static_cast<size_t>(bytes); };
  if (!has(codes, unpack.elements / 2) || !has(scales, 4 * blocks) || !has(levels, 4 * kLevels))
    return run.Refuse("RowtuneUnpack: the result takes another number of codes, scales or levels");
  const size_t bytes = static_cast<size_t>(unpack.elements) * (unpack.type == TF_FLOAT ? 4 : 2);
  const Tensor output(TF_AllocateOutput(context, 0, unpack.type, unpack.shape.data(), static_cast<int>(unpack.shape.size()), bytes, run.status()));
  if (run.Failed()) return;
  const Packed packed{static_cast<const uint8_t*>(TF_TensorData(codes.get())), static_cast<const float*>(TF_TensorData(scales.get())),
                      static_cast<const float*>(TF_TensorData(levels.get())), blocks, unpack.block};
  if (unpack.type == TF_FLOAT) Unpack(packed, static_cast<float*>(TF_TensorData(output.get())));
  else Unpack(packed, static_cast<uint16_t*>(TF_TensorData(output.get())));
}
