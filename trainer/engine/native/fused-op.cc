// TensorFlow's operation RowtuneFused: a row program over its inputs. It is there once this addon is loaded, before any session is made.
#include <node_api.h>

#include <memory>
#include <string>
#include <vector>

#include "row-program.h"
#include "tensorflow-c-api.h"

namespace {

struct DeleteStatus {
  void operator()(TF_Status* status) const { TF_DeleteStatus(status); }
};
using Status = std::unique_ptr<TF_Status, DeleteStatus>;

struct DeleteTensor {
  void operator()(TF_Tensor* tensor) const { TF_DeleteTensor(tensor); }
};
using Tensor = std::unique_ptr<TF_Tensor, DeleteTensor>;

void* Create(TF_OpKernelConstruction* construction) {
  const Status status(TF_NewStatus());
  int32_t list = 0, bytes = 0;
  TF_OpKernelConstruction_GetAttrSize(construction, "program", &list, &bytes, status.get());
  std::vector<int32_t> words(TF_GetCode(status.get()) == TF_OK ? static_cast<size_t>(bytes) / 4 : 0);
  if (!words.empty())
    TF_OpKernelConstruction_GetAttrString(construction, "program", reinterpret_cast<char*>(words.data()), words.size() * 4, status.get());
  auto program = std::make_unique<RowProgram>();
  if (TF_GetCode(status.get()) == TF_OK && !ParseRowProgram(words.data(), words.size(), program.get()))
    TF_SetStatus(status.get(), TF_INVALID_ARGUMENT, "RowtuneFused: the program is damaged, or of another version of Rowtune");
  if (TF_GetCode(status.get()) == TF_OK) return program.release();
  TF_OpKernelConstruction_Failure(construction, status.get());
  return nullptr;
}

void Compute(void* kernel, TF_OpKernelContext* context) {
  const RowProgram& program = *static_cast<const RowProgram*>(kernel);
  const Status status(TF_NewStatus());
  const auto failed = [&] {
    if (TF_GetCode(status.get()) == TF_OK) return false;
    TF_OpKernelContext_Failure(context, status.get());
    return true;
  };
  std::vector<Tensor> held;
  std::vector<void*> outputs;
  // Outputs first: an input is given over only while nobody holds it, and it can still be read then.
  for (size_t i = 0; i < program.outputs.size(); i++) {
    const Output& output = program.outputs[i];
    int forwarded = -1;
    held.emplace_back(TF_ForwardInputOrAllocateOutput(context, output.candidates.data(), static_cast<int>(output.candidates.size()),
                                                      static_cast<int>(i), output.shape.data(), static_cast<int>(output.shape.size()),
                                                      &forwarded, status.get()));
    if (failed()) return;
    outputs.push_back(TF_TensorData(held.back().get()));
  }
  std::vector<const void*> inputs;
  for (int i = 0; i < TF_NumInputs(context); i++) {
    TF_Tensor* input = nullptr;
    TF_GetInput(context, i, &input, status.get());
    if (failed()) return;
    held.emplace_back(input);
    inputs.push_back(TF_TensorData(input));
  }
  RunRowProgram(program, Buffers{inputs.data(), outputs.data()});
}

void Destroy(void* kernel) { delete static_cast<RowProgram*>(kernel); }

void UnknownShapes(TF_ShapeInferenceContext* context, TF_Status* status) { TF_ShapeInferenceContextSetUnknownShape(context, status); }

// The message of what went wrong; empty where all is well.
std::string Register() {
  const Status status(TF_NewStatus());
  TF_OpDefinitionBuilder* operation = TF_NewOpDefinitionBuilder("RowtuneFused");
  TF_OpDefinitionBuilderAddAttr(operation, "program: string");
  TF_OpDefinitionBuilderAddAttr(operation, "Tin: list(type) >= 0");
  TF_OpDefinitionBuilderAddAttr(operation, "Tout: list(type) >= 1");
  TF_OpDefinitionBuilderAddInput(operation, "inputs: Tin");
  TF_OpDefinitionBuilderAddOutput(operation, "outputs: Tout");
  TF_OpDefinitionBuilderSetShapeInferenceFunction(operation, UnknownShapes);
  TF_RegisterOpDefinition(operation, status.get());
  if (TF_GetCode(status.get()) == TF_OK)
    TF_RegisterKernelBuilder("RowtuneFused", TF_NewKernelBuilder("RowtuneFused", "CPU", Create, Compute, Destroy), status.get());
  return TF_GetCode(status.get()) == TF_OK ? "" : TF_Message(status.get());
}

napi_value Init(napi_env env, napi_value exports) {
  static const std::string problem = Register();
  if (!problem.empty()) napi_throw_error(env, nullptr, problem.c_str());
  return exports;
}

}  // namespace

NAPI_MODULE(rowtune_fused, Init)
