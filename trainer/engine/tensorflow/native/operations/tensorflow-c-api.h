// The part of TensorFlow's stable C API that custom operations need (tensorflow/c/{ops,kernels,tf_tensor,tf_status}.h), declared here
// because the installed engine keeps no headers: so the kernels can be recompiled without downloading it again.
#pragma once
#include <cstddef>
#include <cstdint>

extern "C" {
typedef struct TF_Status TF_Status;
typedef struct TF_Tensor TF_Tensor;
typedef struct TF_OpDefinitionBuilder TF_OpDefinitionBuilder;
typedef struct TF_ShapeInferenceContext TF_ShapeInferenceContext;
typedef struct TF_KernelBuilder TF_KernelBuilder;
typedef struct TF_OpKernelConstruction TF_OpKernelConstruction;
typedef struct TF_OpKernelContext TF_OpKernelContext;
typedef enum TF_DataType { TF_FLOAT = 1, TF_INT32 = 3, TF_UINT8 = 4, TF_INT8 = 6, TF_BOOL = 10, TF_BFLOAT16 = 14 } TF_DataType;
typedef enum TF_Code { TF_OK = 0, TF_INVALID_ARGUMENT = 3, TF_INTERNAL = 13 } TF_Code;

TF_Status* TF_NewStatus(void);
void TF_DeleteStatus(TF_Status*);
void TF_SetStatus(TF_Status*, TF_Code, const char* message);
TF_Code TF_GetCode(const TF_Status*);
const char* TF_Message(const TF_Status*);

size_t TF_DataTypeSize(TF_DataType);
void TF_DeleteTensor(TF_Tensor*);
void* TF_TensorData(const TF_Tensor*);
TF_DataType TF_TensorType(const TF_Tensor*);
size_t TF_TensorByteSize(const TF_Tensor*);
int TF_NumDims(const TF_Tensor*);
int64_t TF_Dim(const TF_Tensor*, int axis);

TF_OpDefinitionBuilder* TF_NewOpDefinitionBuilder(const char* name);
void TF_OpDefinitionBuilderAddAttr(TF_OpDefinitionBuilder*, const char* spec);
void TF_OpDefinitionBuilderAddInput(TF_OpDefinitionBuilder*, const char* spec);
void TF_OpDefinitionBuilderAddOutput(TF_OpDefinitionBuilder*, const char* spec);
void TF_OpDefinitionBuilderSetShapeInferenceFunction(TF_OpDefinitionBuilder*, void (*)(TF_ShapeInferenceContext*, TF_Status*));
void TF_ShapeInferenceContextSetUnknownShape(TF_ShapeInferenceContext*, TF_Status*);
void TF_RegisterOpDefinition(TF_OpDefinitionBuilder*, TF_Status*);

TF_KernelBuilder* TF_NewKernelBuilder(const char* op, const char* device, void* (*create)(TF_OpKernelConstruction*),
                                      void (*compute)(void*, TF_OpKernelContext*), void (*destroy)(void*));
void TF_RegisterKernelBuilder(const char* name, TF_KernelBuilder*, TF_Status*);
void TF_OpKernelConstruction_Failure(TF_OpKernelConstruction*, TF_Status*);
void TF_OpKernelConstruction_GetAttrSize(TF_OpKernelConstruction*, const char* name, int32_t* list, int32_t* total, TF_Status*);
void TF_OpKernelConstruction_GetAttrBool(TF_OpKernelConstruction*, const char* name, unsigned char* value, TF_Status*);
void TF_OpKernelConstruction_GetAttrInt64(TF_OpKernelConstruction*, const char* name, int64_t* value, TF_Status*);
void TF_OpKernelConstruction_GetAttrType(TF_OpKernelConstruction*, const char* name, TF_DataType* value, TF_Status*);
void TF_OpKernelConstruction_GetAttrInt64List(TF_OpKernelConstruction*, const char* name, int64_t* values, int most, TF_Status*);
void TF_OpKernelConstruction_GetAttrString(TF_OpKernelConstruction*, const char* name, char* value, size_t size, TF_Status*);

int TF_NumInputs(TF_OpKernelContext*);
void TF_GetInput(TF_OpKernelContext*, int i, TF_Tensor**, TF_Status*);
TF_Tensor* TF_ForwardInputOrAllocateOutput(TF_OpKernelContext*, const int* candidates, int count, int output, const int64_t* shape, int rank,
                                           int* forwarded, TF_Status*);
TF_Tensor* TF_AllocateOutput(TF_OpKernelContext*, int output, TF_DataType, const int64_t* shape, int rank, size_t bytes, TF_Status*);
void TF_OpKernelContext_Failure(TF_OpKernelContext*, TF_Status*);

// Servers and sessions (tensorflow/c/c_api.h), for the collectives of collective-library.cc.
typedef struct TF_Server TF_Server;
typedef struct TF_Graph TF_Graph;
typedef struct TF_Session TF_Session;
typedef struct TF_SessionOptions TF_SessionOptions;
typedef struct TF_Operation TF_Operation;
typedef struct TF_OperationDescription TF_OperationDescription;
typedef struct TF_Buffer TF_Buffer;
typedef struct TF_Output {
  TF_Operation* operation;
  int index;
} TF_Output;

TF_Tensor* TF_AllocateTensor(TF_DataType, const int64_t* shape, int rank, size_t bytes);
TF_Server* TF_NewServer(const void* definition, size_t bytes, TF_Status*);
void TF_ServerStart(TF_Server*, TF_Status*);
const char* TF_ServerTarget(TF_Server*);
TF_SessionOptions* TF_NewSessionOptions(void);
void TF_SetConfig(TF_SessionOptions*, const void* config, size_t bytes, TF_Status*);
void TF_SetTarget(TF_SessionOptions*, const char* target);
TF_Session* TF_NewSession(TF_Graph*, const TF_SessionOptions*, TF_Status*);
void TF_SessionRun(TF_Session*, const TF_Buffer* options, const TF_Output* inputs, TF_Tensor* const* values, int count, const TF_Output* outputs,
                   TF_Tensor** results, int fetched, const TF_Operation* const* targets, int ran, TF_Buffer* metadata, TF_Status*);
TF_Graph* TF_NewGraph(void);
TF_OperationDescription* TF_NewOperation(TF_Graph*, const char* type, const char* name);
void TF_SetDevice(TF_OperationDescription*, const char* device);
void TF_AddInput(TF_OperationDescription*, TF_Output);
void TF_AddInputList(TF_OperationDescription*, const TF_Output*, int count);
void TF_SetAttrType(TF_OperationDescription*, const char* name, TF_DataType);
void TF_SetAttrFloat(TF_OperationDescription*, const char* name, float);
void TF_SetAttrString(TF_OperationDescription*, const char* name, const void* text, size_t length);
TF_Operation* TF_FinishOperation(TF_OperationDescription*, TF_Status*);
}
