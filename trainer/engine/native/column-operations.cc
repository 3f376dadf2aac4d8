#include "column-operations.h"

#include <memory>

#include "columns.h"

namespace {

struct UpdateKernel {
  int64_t width = 0;
};

int64_t ElementsOf(const TF_Tensor* tensor) {
  int64_t elements = 1;
  for (int i = 0; i < TF_NumDims(tensor); i++) elements *= TF_Dim(tensor, i);
  return elements;
}

template <typename Element>
void Write(const Columns& columns, const TF_Tensor* values, const TF_Tensor* state) {
  WriteColumns(columns, static_cast<const Element*>(TF_TensorData(values)), static_cast<Element*>(TF_TensorData(state)));
}

}  // namespace

void* CreateUpdateColumns(TF_OpKernelConstruction* construction) {
  const Status status(TF_NewStatus());
  auto kernel = std::make_unique<UpdateKernel>();
  TF_OpKernelConstruction_GetAttrInt64(construction, "width", &kernel->width, status.get());
  if (TF_GetCode(status.get()) == TF_OK && kernel->width < 0)
    TF_SetStatus(status.get(), TF_INVALID_ARGUMENT, "RowtuneUpdateColumns: a row has at least one element");
  if (TF_GetCode(status.get()) == TF_OK) return kernel.release();
  TF_OpKernelConstruction_Failure(construction, status.get());
  return nullptr;
}

void DestroyUpdateColumns(void* kernel) { delete static_cast<UpdateKernel*>(kernel); }

void RunUpdateColumns(void* kernel, TF_OpKernelContext* context) {
  Run run(context);
  const Tensor state = run.Input(0), numbers = run.Input(1), values = run.Input(2);
  if (!state || !numbers || !values) return;
  const auto fail = [&](const char* problem) {
    TF_SetStatus(run.status(), TF_INVALID_ARGUMENT, problem);
    run.Failed();
  };
  const int64_t elements = ElementsOf(state.get()), count = ElementsOf(numbers.get());
  if (elements == 0 || count == 0) return;
  const int64_t own_width = static_cast<const UpdateKernel*>(kernel)->width, width = own_width > 0 ? own_width : elements;
  const Columns columns{elements / width, width, count, static_cast<const int32_t*>(TF_TensorData(numbers.get()))};
  if (elements % width != 0 || ElementsOf(values.get()) != columns.rows * count)
    return fail("RowtuneUpdateColumns: the values do not fit the columns and the variable");
  if (!columns.AreInside()) return fail("RowtuneUpdateColumns: a column or an element is out of range");
  switch (TF_TensorByteSize(state.get()) / static_cast<size_t>(elements)) {
    case 1: return Write<uint8_t>(columns, values.get(), state.get());
    case 2: return Write<uint16_t>(columns, values.get(), state.get());
    case 4: return Write<uint32_t>(columns, values.get(), state.get());
    default: fail("RowtuneUpdateColumns: an element has to have one, two or four bytes");
  }
}
