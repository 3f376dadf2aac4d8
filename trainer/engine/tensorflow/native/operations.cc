// TensorFlow operations: RowtuneFused, a row program over its inputs; RowtuneProduct, a matrix product; RowtuneExpertProduct and
// RowtuneExpertGradient, products grouped by expert; RowtuneReadBack and RowtuneWriteOut, which move the buffer of a variable in from its
// place in a file, and out; RowtuneUnpack, a weight of 4-bit codes; RowtuneFewRows, a product of a few rows with a stored weight; RowtuneHost, the values of a JavaScript array; RowtuneReadColumns and
// RowtuneUpdateColumns, for columns or single elements; RowtuneBeginSum and RowtuneEndSum, sums over the ranks of a run. They are
// registered when this addon is loaded, which must happen before any session is created.
#include <node_api.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "coder-addon.h"
#include "fused/row-program.h"
#include "group-addon.h"
#include "kernels/expert-product.h"
#include "kernels/product.h"
#include "offload.h"
#include "operations/column-operations.h"
#include "operations/few-rows-operation.h"
#include "operations/group-operations.h"
#include "operations/host-operation.h"
#include "operations/kernel-run.h"
#include "operations/unpack-operation.h"

namespace {

void* CreateFused(TF_OpKernelConstruction* construction) {
  const Status status(TF_NewStatus());
  int32_t list = 0, bytes = 0;
  TF_OpKernelConstruction_GetAttrSize(construction, "program", &list, &bytes, status.get());
  std::vector<int32_t> words(TF_GetCode(status.get()) == TF_OK ? static_cast<size_t>(bytes) / 4 : 0);
  if (!words.empty())
    TF_OpKernelConstruction_GetAttrString(construction, "program", reinterpret_cast<char*>(words.data()), words.size() * 4, status.get());
  auto program = std::make_unique<RowProgram>();
  if (TF_GetCode(status.get()) == TF_OK && !ParseRowProgram(words.data(), words.size(), program.get()))
    TF_SetStatus(status.get(), TF_INVALID_ARGUMENT, "RowtuneFused: the program is damaged, or of another version of Rowtune");
  return Constructed(construction, status.get(), std::move(program));
}

void RunFused(void* kernel, TF_OpKernelContext* context) {
  const RowProgram& program = *static_cast<const RowProgram*>(kernel);
  Run run(context);
  std::vector<Tensor> held;
  std::vector<void*> outputs;
  // Outputs first: an input's buffer is forwarded only while nothing else holds it, and the input can still be read after that.
  for (size_t i = 0; i < program.outputs.size(); i++) {
    const Output& output = program.outputs[i];
    int forwarded = -1;
    held.emplace_back(TF_ForwardInputOrAllocateOutput(context, output.candidates.data(), static_cast<int>(output.candidates.size()),
                                                      static_cast<int>(i), output.shape.data(), static_cast<int>(output.shape.size()),
                                                      &forwarded, run.status()));
    if (run.Failed()) return;
    outputs.push_back(TF_TensorData(held.back().get()));
  }
  std::vector<const void*> inputs;
  std::vector<size_t> input_bytes, output_bytes;
  for (const Tensor& output : held) output_bytes.push_back(TF_TensorByteSize(output.get()));
  for (int i = 0; i < TF_NumInputs(context); i++) {
    held.push_back(run.Input(i));
    if (!held.back()) return;
    inputs.push_back(TF_TensorData(held.back().get()));
    input_bytes.push_back(TF_TensorByteSize(held.back().get()));
  }
  if (!FitsTensors(program, input_bytes, output_bytes)) return run.Refuse("RowtuneFused: the program does not fit its tensors");
  RunRowProgram(program, Buffers{inputs.data(), outputs.data()});
}

void DestroyFused(void* kernel) { delete static_cast<RowProgram*>(kernel); }

void* CreateProduct(TF_OpKernelConstruction* construction) {
  const Status status(TF_NewStatus());
  auto product = std::make_unique<Product>();
  unsigned char transposes = 0;
  TF_OpKernelConstruction_GetAttrBool(construction, "transpose_a", &transposes, status.get());
  product->transpose_a = transposes != 0;
  if (TF_GetCode(status.get()) == TF_OK) TF_OpKernelConstruction_GetAttrBool(construction, "transpose_b", &transposes, status.get());
  product->transpose_b = transposes != 0;
  return Constructed(construction, status.get(), std::move(product));
}

void RunProductOperation(void* kernel, TF_OpKernelContext* context) {
  Product product = *static_cast<const Product*>(kernel);
  Run run(context);
  const Tensor left = run.Input(0), right = run.Input(1);
  if (!left || !right) return;
  const std::vector<int64_t> a = ShapeOf(left.get()), b = ShapeOf(right.get());
  const size_t lead = a.size() < 2 ? 0 : a.size() - 2;
  if (a.size() < 2 || a.size() != b.size() || !std::equal(a.begin(), a.begin() + lead, b.begin()) ||
      a[lead + !product.transpose_a] != b[lead + product.transpose_b])
    return run.Refuse("RowtuneProduct: the shapes of the matrices do not fit");
  product.batch = std::accumulate(a.begin(), a.begin() + lead, int64_t{1}, std::multiplies<>());
  product.m = a[lead + product.transpose_a];
  product.k = a[lead + !product.transpose_a];
  product.n = b[lead + !product.transpose_b];
  std::vector<int64_t> shape(a.begin(), a.begin() + lead);
  shape.insert(shape.end(), {product.m, product.n});
  const TF_DataType type = TF_TensorType(left.get());
  const size_t bytes = TF_DataTypeSize(type) * static_cast<size_t>(product.batch * product.m * product.n);
  const Tensor output(TF_AllocateOutput(context, 0, type, shape.data(), static_cast<int>(shape.size()), bytes, run.status()));
  if (run.Failed()) return;
  const auto compute = [&](auto element) {
    using Element = decltype(element);
    RunProduct(product, static_cast<const Element*>(TF_TensorData(left.get())), static_cast<const Element*>(TF_TensorData(right.get())),
               static_cast<Element*>(TF_TensorData(output.get())));
  };
  if (type == TF_FLOAT) compute(0.f);
  else compute(uint16_t{0});
}

void DestroyProduct(void* kernel) { delete static_cast<Product*>(kernel); }

struct Experts {
  int64_t count = 1;
  bool transposed = false, all = false;
};

void* CreateExperts(TF_OpKernelConstruction* construction) {
  const Status status(TF_NewStatus());
  auto experts = std::make_unique<Experts>();
  unsigned char flag = 0;
  TF_OpKernelConstruction_GetAttrInt64(construction, "experts", &experts->count, status.get());
  if (TF_GetCode(status.get()) == TF_OK) TF_OpKernelConstruction_GetAttrBool(construction, "flag", &flag, status.get());
  experts->transposed = experts->all = flag != 0;
  return Constructed(construction, status.get(), std::move(experts));
}

Matrix MatrixOf(const TF_Tensor* tensor) {
  return {static_cast<const float*>(TF_TensorData(tensor)), TF_NumDims(tensor) == 2 ? TF_Dim(tensor, 0) : 0, TF_NumDims(tensor) == 2 ? TF_Dim(tensor, 1) : 0};
}

// Returns true if the number of rows of a matrix divides the number of assignments.
bool Divide(const Matrix& matrix, int64_t assignments) { return matrix.rows > 0 && assignments % matrix.rows == 0; }

void FailExperts(Run& run) {
  run.Refuse("a product grouped by expert: the shapes do not fit, or an assignment or a row is out of range");
}

void RunExpertProductOperation(void* kernel, TF_OpKernelContext* context) {
  const Experts& experts = *static_cast<const Experts*>(kernel);
  Run run(context);
  const Tensor rows = run.Input(0), weights = run.Input(1), ids = run.Input(2);
  if (!rows || !weights || !ids) return;
  const Matrix x = MatrixOf(rows.get()), stack = MatrixOf(weights.get());
  const Assignments assignments{experts.count, TF_NumDims(ids.get()) == 1 ? TF_Dim(ids.get(), 0) : 0, static_cast<const int32_t*>(TF_TensorData(ids.get()))};
  const int64_t out = stack.rows / experts.count;
  if (stack.rows != out * experts.count || x.columns != (experts.transposed ? out : stack.columns) || !Divide(x, assignments.count)) return FailExperts(run);
  const int64_t shape[] = {assignments.count, experts.transposed ? stack.columns : out};
  const Tensor output(TF_AllocateOutput(context, 0, TF_FLOAT, shape, 2, sizeof(float) * static_cast<size_t>(shape[0] * shape[1]), run.status()));
  if (run.Failed()) return;
  if (!RunExpertProduct(assignments, x, stack, experts.transposed, static_cast<float*>(TF_TensorData(output.get())))) FailExperts(run);
}

void RunExpertGradientOperation(void* kernel, TF_OpKernelContext* context) {
  const Experts& experts = *static_cast<const Experts*>(kernel);
  Run run(context);
  const Tensor left = run.Input(0), right = run.Input(1), ids = run.Input(2), chosen = run.Input(3);
  if (!left || !right || !ids || !chosen) return;
  const Matrix a = MatrixOf(left.get()), b = MatrixOf(right.get());
  const Assignments assignments{experts.count, TF_NumDims(ids.get()) == 1 ? TF_Dim(ids.get(), 0) : 0, static_cast<const int32_t*>(TF_TensorData(ids.get()))};
  if (!Divide(a, assignments.count) || !Divide(b, assignments.count) || TF_NumDims(chosen.get()) != 1) return FailExperts(run);
  const int64_t count = TF_Dim(chosen.get(), 0);
  const int64_t shape[] = {experts.all ? experts.count * a.columns : count, b.columns};
  const Tensor output(TF_AllocateOutput(context, 0, TF_FLOAT, shape, 2, sizeof(float) * static_cast<size_t>(shape[0] * shape[1]), run.status()));
  if (run.Failed()) return;
  const int32_t* rows = experts.all ? nullptr : static_cast<const int32_t*>(TF_TensorData(chosen.get()));
  if (!RunExpertGradient(assignments, a, b, rows, count, static_cast<float*>(TF_TensorData(output.get())))) FailExperts(run);
}

void DestroyExperts(void* kernel) { delete static_cast<Experts*>(kernel); }

// A variable's place in an open file.
struct FilePlace {
  int64_t file = -1, offset = 0;
};

void* CreateFilePlace(TF_OpKernelConstruction* construction) {
  const Status status(TF_NewStatus());
  auto place = std::make_unique<FilePlace>();
  TF_OpKernelConstruction_GetAttrInt64(construction, "file", &place->file, status.get());
  if (TF_GetCode(status.get()) == TF_OK) TF_OpKernelConstruction_GetAttrInt64(construction, "offset", &place->offset, status.get());
  return Constructed(construction, status.get(), std::move(place));
}

// The input is an alias of the variable, so the variable's own buffer is moved.
template <int Move(int, int64_t, char*, size_t)>
void RunMove(void* kernel, TF_OpKernelContext* context) {
  const FilePlace& place = *static_cast<const FilePlace*>(kernel);
  Run run(context);
  const Tensor state = run.Input(0);
  if (!state) return;
  const int problem = Move(static_cast<int>(place.file), place.offset, static_cast<char*>(TF_TensorData(state.get())), TF_TensorByteSize(state.get()));
  if (problem == 0) return;
  TF_SetStatus(run.status(), TF_INTERNAL, (std::string("the file of the offloaded optimizer state: ") + std::strerror(problem)).c_str());
  run.Failed();
}

void DestroyFilePlace(void* kernel) { delete static_cast<FilePlace*>(kernel); }

void UnknownShapes(TF_ShapeInferenceContext* context, TF_Status* status) { TF_ShapeInferenceContextSetUnknownShape(context, status); }

struct Operation {
  const char* name;
  std::vector<const char*> attributes, inputs, outputs;
  void* (*create)(TF_OpKernelConstruction*);
  void (*run)(void*, TF_OpKernelContext*);
  void (*destroy)(void*);
};

// Returns the error message; empty on success.
std::string Register(const Operation& operation) {
  const Status status(TF_NewStatus());
  TF_OpDefinitionBuilder* builder = TF_NewOpDefinitionBuilder(operation.name);
  for (const char* attribute : operation.attributes) TF_OpDefinitionBuilderAddAttr(builder, attribute);
  for (const char* input : operation.inputs) TF_OpDefinitionBuilderAddInput(builder, input);
  for (const char* output : operation.outputs) TF_OpDefinitionBuilderAddOutput(builder, output);
  TF_OpDefinitionBuilderSetShapeInferenceFunction(builder, UnknownShapes);
  TF_RegisterOpDefinition(builder, status.get());
  if (TF_GetCode(status.get()) == TF_OK)
    TF_RegisterKernelBuilder(operation.name, TF_NewKernelBuilder(operation.name, "CPU", operation.create, operation.run, operation.destroy), status.get());
  return TF_GetCode(status.get()) == TF_OK ? "" : TF_Message(status.get());
}

std::string RegisterAll() {
  const Operation operations[] = {
      {"RowtuneFused", {"program: string", "Tin: list(type) >= 0", "Tout: list(type) >= 1"}, {"inputs: Tin"}, {"outputs: Tout"}, CreateFused, RunFused, DestroyFused},
      {"RowtuneProduct", {"T: {float, bfloat16}", "transpose_a: bool", "transpose_b: bool"}, {"a: T", "b: T"}, {"product: T"}, CreateProduct, RunProductOperation, DestroyProduct},
      {"RowtuneExpertProduct", {"experts: int", "flag: bool"}, {"x: float", "weights: float", "ids: int32"}, {"product: float"}, CreateExperts, RunExpertProductOperation, DestroyExperts},
      {"RowtuneExpertGradient", {"experts: int", "flag: bool"}, {"a: float", "b: float", "ids: int32", "rows: int32"}, {"gradient: float"}, CreateExperts, RunExpertGradientOperation, DestroyExperts},
      {"RowtuneReadBack", {"file: int", "offset: int", "T: type"}, {"state: T"}, {}, CreateFilePlace, RunMove<ReadBack>, DestroyFilePlace},
      {"RowtuneWriteOut", {"file: int", "offset: int", "T: type"}, {"state: T"}, {}, CreateFilePlace, RunMove<WriteOut>, DestroyFilePlace},
      {"RowtuneUnpack", {"T: type", "block: int", "shape: list(int)"}, {"codes: uint8", "scales: float", "levels: float"}, {"weight: T"}, CreateUnpack, RunUnpack, DestroyUnpack},
      {"RowtuneFewRows", {"T: type", "W: type", "N: int >= 0", "block: int", "out: int"}, {"x: T", "weight: W", "unpacking: N * float"}, {"product: T"}, CreateFewRows, RunFewRowsOperation, DestroyFewRows},
      {"RowtuneHost", {"T: type", "shape: list(int)"}, {"place: int32"}, {"values: T"}, CreateHost, RunHost, DestroyHost},
      {"RowtuneReadColumns", {"T: type"}, {"x: T", "numbers: int32"}, {"values: T"}, CreateReadColumns, RunReadColumns, DestroyReadColumns},
      {"RowtuneUpdateColumns", {"T: type", "width: int"}, {"state: T", "numbers: int32", "values: T"}, {}, CreateUpdateColumns, RunUpdateColumns, DestroyUpdateColumns},
      {"RowtuneBeginSum", {"form: int", "residual: string"}, {"x: float"}, {"sum: float"}, CreateBeginSum, RunBeginSum, DestroyBeginSum},
      {"RowtuneEndSum", {}, {"begun: float"}, {"sum: float"}, CreateNothing, RunEndSum, DestroyNothing},
  };
  for (const Operation& operation : operations)
    if (const std::string problem = Register(operation); !problem.empty()) return problem;
  return "";
}

// (file, bytes): reserves this many bytes of disk space for an open file. Returns an empty string, or the error.
napi_value Reserve(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  size_t count = 2;
  int64_t file = -1, bytes = 0;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) != napi_ok || count < 2) return nullptr;
  if (napi_get_value_int64(env, arguments[0], &file) != napi_ok || napi_get_value_int64(env, arguments[1], &bytes) != napi_ok) return nullptr;
  const int problem = ReserveFile(static_cast<int>(file), bytes);
  napi_value text = nullptr;
  napi_create_string_utf8(env, problem == 0 ? "" : std::strerror(problem), NAPI_AUTO_LENGTH, &text);
  return text;
}

// (array) → its address, as a bigint
napi_value AddressOf(napi_env env, napi_callback_info info) {
  napi_value array = nullptr, address = nullptr;
  size_t count = 1;
  void* data = nullptr;
  if (napi_get_cb_info(env, info, &count, &array, nullptr, nullptr) != napi_ok || count < 1) return nullptr;
  if (napi_get_typedarray_info(env, array, nullptr, nullptr, &data, nullptr, nullptr) != napi_ok) return nullptr;
  napi_create_bigint_uint64(env, reinterpret_cast<uintptr_t>(data), &address);
  return address;
}

// Exports `hasProducts` (whether this CPU has the vector instructions that RowtuneProduct needs), `reserve`, `addressOf`, and the functions
// of group-addon.h and coder-addon.h.
napi_value Init(napi_env env, napi_value exports) {
  static const std::string problem = RegisterAll();
  if (!problem.empty()) napi_throw_error(env, nullptr, problem.c_str());
  napi_value has_products = nullptr;
  napi_get_boolean(env, HasProducts(), &has_products);
  napi_set_named_property(env, exports, "hasProducts", has_products);
  const std::pair<const char*, napi_callback> functions[] = {{"reserve", Reserve}, {"addressOf", AddressOf}};
  for (const auto& [name, callback] : functions) {
    napi_value function = nullptr;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function);
    napi_set_named_property(env, exports, name, function);
  }
  ExportGroup(env, exports);
  ExportCoder(env, exports);
  return exports;
}

}  // namespace

NAPI_MODULE(rowtune_fused, Init)
