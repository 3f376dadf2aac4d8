#include "column-operations.h"

#include <memory>
#include <vector>

#include "../kernels/columns.h"

namespace {

struct ReadKernel {
  TF_DataType type = TF_FLOAT;
};

struct UpdateKernel {
  int64_t width = 0;
};

// Elements are moved by size only, without computing.
template <typename Element>
void Read(const Columns& columns, const TF_Tensor* matrix, const TF_Tensor* values) {
  ReadColumns(columns, static_cast<const Element*>(TF_TensorData(matrix)), static_cast<Element*>(TF_TensorData(values)));
}

template <typename Element>
void Write(const Columns& columns, const TF_Tensor* values, const TF_Tensor* state) {
  WriteColumns(columns, static_cast<const Element*>(TF_TensorData(values)), static_cast<Element*>(TF_TensorData(state)));
}

}  // namespace

void* CreateReadColumns(TF_OpKernelConstruction* construction) {
  const Status status(TF_NewStatus());
  auto kernel = std::make_unique<ReadKernel>();
  TF_OpKernelConstruction_GetAttrType(construction, "T", &kernel->type, status.get());
  return Constructed(construction, status.get(), std::move(kernel));
}

void DestroyReadColumns(void* kernel) { delete static_cast<ReadKernel*>(kernel); }

void RunReadColumns(void* kernel, TF_OpKernelContext* context) {
  Run run(context);
  const Tensor matrix = run.Input(0), numbers = run.Input(1);
  if (!matrix || !numbers) return;
  std::vector<int64_t> shape = ShapeOf(matrix.get());
  const std::vector<int64_t> shape_of_numbers = ShapeOf(numbers.get());
  const int64_t elements = ElementsOf(shape), width = shape.empty() ? 0 : shape.back();
  if (elements == 0 || width == 0) return run.Refuse("RowtuneReadColumns: the tensor has no columns");
  const Columns columns{elements / width, width, ElementsOf(shape_of_numbers), static_cast<const int32_t*>(TF_TensorData(numbers.get()))};
  if (!columns.AreInside()) return run.Refuse("RowtuneReadColumns: a column or an element is out of range");
  shape.pop_back();
  shape.insert(shape.end(), shape_of_numbers.begin(), shape_of_numbers.end());
  const size_t size = TF_TensorByteSize(matrix.get()) / static_cast<size_t>(elements);
  const size_t bytes = size * static_cast<size_t>(columns.rows * columns.count);
  const Tensor values(TF_AllocateOutput(context, 0, static_cast<const ReadKernel*>(kernel)->type, shape.data(), static_cast<int>(shape.size()), bytes, run.status()));
  if (run.Failed()) return;
  switch (size) {
    case 1: return Read<uint8_t>(columns, matrix.get(), values.get());
    case 2: return Read<uint16_t>(columns, matrix.get(), values.get());
    case 4: return Read<uint32_t>(columns, matrix.get(), values.get());
    default: run.Refuse("RowtuneReadColumns: an element has to have one, two or four bytes");
  }
}

void* CreateUpdateColumns(TF_OpKernelConstruction* construction) {
  const Status status(TF_NewStatus());
  auto kernel = std::make_unique<UpdateKernel>();
  TF_OpKernelConstruction_GetAttrInt64(construction, "width", &kernel->width, status.get());
  if (TF_GetCode(status.get()) == TF_OK && kernel->width < 0)
    TF_SetStatus(status.get(), TF_INVALID_ARGUMENT, "RowtuneUpdateColumns: a row has at least one element");
  return Constructed(construction, status.get(), std::move(kernel));
}

void DestroyUpdateColumns(void* kernel) { delete static_cast<UpdateKernel*>(kernel); }

void RunUpdateColumns(void* kernel, TF_OpKernelContext* context) {
  Run run(context);
  const Tensor state = run.Input(0), numbers = run.Input(1), values = run.Input(2);
  if (!state || !numbers || !values) return;
  const int64_t elements = ElementsOf(ShapeOf(state.get())), count = ElementsOf(ShapeOf(numbers.get()));
  if (elements == 0 || count == 0) return;
  const int64_t own_width = static_cast<const UpdateKernel*>(kernel)->width, width = own_width > 0 ? own_width : elements;
  const Columns columns{elements / width, width, count, static_cast<const int32_t*>(TF_TensorData(numbers.get()))};
  if (elements % width != 0 || ElementsOf(ShapeOf(values.get())) != columns.rows * count)
    return run.Refuse("RowtuneUpdateColumns: the values do not fit the columns and the variable");
  if (!columns.AreInside()) return run.Refuse("RowtuneUpdateColumns: a column or an element is out of range");
  switch (TF_TensorByteSize(state.get()) / static_cast<size_t>(elements)) {
    case 1: return Write<uint8_t>(columns, values.get(), state.get());
    case 2: return Write<uint16_t>(columns, values.get(), state.get());
    case 4: return Write<uint32_t>(columns, values.get(), state.get());
    default: run.Refuse("RowtuneUpdateColumns: an element has to have one, two or four bytes");
  }
}
