// The part of the PJRT C API that is used here, declared by hand: the position of each function in the plugin's table, and the fields of
// its argument. Both follow the ABI of OpenXLA's pjrt_c_api.h, version 0.90; fields and functions are only ever appended, and every
// structure starts with its own size.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pjrt {

// Required version: the same major number, and at least this minor number.
constexpr int kMajor = 0;
constexpr int kOldestMinor = 90;

// Positions in the table of functions.
enum Function : size_t {
  kErrorDestroy = 0,
  kErrorMessage = 1,
  kErrorGetCode = 2,
  kPluginInitialize = 3,
  kEventDestroy = 5,
  kEventAwait = 8,
  kClientCreate = 10,
  kClientDestroy = 11,
  kClientPlatformName = 12,
  kClientPlatformVersion = 14,
  kClientAddressableDevices = 16,
  kClientCompile = 20,
  kClientBufferFromHostBuffer = 22,
  kDeviceDescriptionAttributes = 25,
  kDeviceDescriptionKind = 26,
  kDeviceGetDescription = 29,
  kDeviceAddressableMemories = 32,
  kDeviceMemoryStats = 34,
  kMemoryKind = 36,
  kExecutableDestroy = 40,
  kExecutableNumOutputs = 44,
  kExecutableOptimizedProgram = 48,
  kExecutableSerialize = 49,
  kLoadedExecutableDestroy = 50,
  kLoadedExecutableGetExecutable = 51,
  kLoadedExecutableAddressableDevices = 52,
  kLoadedExecutableExecute = 55,
  kExecutableDeserializeAndLoad = 56,
  kBufferDestroy = 58,
  kBufferOnDeviceSizeInBytes = 64,
  kBufferToHostBuffer = 70,
  kBufferUnsafePointer = 73,
  kTopologyCreate = 82,
  kTopologyDestroy = 83,
  kTopologyPlatformVersion = 85,
  kTopologyGetDeviceDescriptions = 86,
  kCompileForTopology = 89,
  kExecutableGetCompiledMemoryStats = 96,
  // One past the last function that is used.
  kFunctions = 97,
};

struct Version {
  size_t size;
  void* extensions;
  int major;
  int minor;
};

using Call = void* (*)(void* argument);

struct Api {
  size_t size;
  void* extensions;
  Version version;
  Call functions[kFunctions];
};

// Every argument starts with this; `Argument` sets the size of the whole structure.
struct Head {
  size_t size = 0;
  void* extensions = nullptr;
};

// Argument of functions that take a handle and return nothing: destroying, awaiting.
struct Handle : Head {
  void* handle = nullptr;
};

struct Text : Handle {
  const char* text = nullptr;
  size_t length = 0;
};

struct ErrorCode : Handle {
  int code = 0;
};

// Argument of functions that return another handle.
struct Part : Handle {
  void* part = nullptr;
};

// Argument of functions that return a 64-bit integer.
struct Number : Handle {
  uint64_t number = 0;
};

// Argument of functions that return several handles: the devices of a client, the memories of a device.
struct Parts : Handle {
  void* const* parts = nullptr;
  size_t count = 0;
};

struct NamedValue : Head {
  const char* name = nullptr;
  size_t name_length = 0;
  int type = 0;
  union {
    const char* text;
    int64_t integer;
    float real;
    bool flag;
  };
  size_t length = 1;
};

constexpr int kTextValue = 0;
constexpr int kIntegerValue = 1;
constexpr int kRealValue = 3;
constexpr int kFlagValue = 4;

struct Attributes : Handle {
  size_t count = 0;
  const NamedValue* values = nullptr;
};

struct ClientCreate : Head {
  const NamedValue* options = nullptr;
  size_t option_count = 0;
  void* get_callback = nullptr;
  void* get_argument = nullptr;
  void* put_callback = nullptr;
  void* put_argument = nullptr;
  void* client = nullptr;
  void* try_get_callback = nullptr;
  void* try_get_argument = nullptr;
};

struct Program : Head {
  const char* code = nullptr;
  size_t code_length = 0;
  const char* format = nullptr;
  size_t format_length = 0;
};

struct Compile : Head {
  void* client = nullptr;
  const Program* program = nullptr;
  const char* options = nullptr;
  size_t options_length = 0;
  void* executable = nullptr;
};

struct TopologyCreate : Head {
  const char* name = nullptr;
  size_t name_length = 0;
  const NamedValue* options = nullptr;
  size_t option_count = 0;
  void* topology = nullptr;
};

struct CompileForTopology : Head {
  const void* topology = nullptr;
  const Program* program = nullptr;
  const char* options = nullptr;
  size_t options_length = 0;
  // Not needed.
  void* client = nullptr;
  void* executable = nullptr;
};

// The first call passes no buffer for the code, to get its length.
struct OptimizedProgram : Handle {
  Program* program = nullptr;
};

struct BufferFromHost : Head {
  void* client = nullptr;
  const void* data = nullptr;
  int type = 0;
  const int64_t* dimensions = nullptr;
  size_t rank = 0;
  const int64_t* strides = nullptr;
  size_t stride_count = 0;
  // 0: the data is copied before the call returns.
  int semantics = 0;
  // Exactly one of the two is set.
  void* device = nullptr;
  void* memory = nullptr;
  void* layout = nullptr;
  void* done = nullptr;
  void* buffer = nullptr;
};

struct BufferToHost : Head {
  void* buffer = nullptr;
  void* layout = nullptr;
  void* target = nullptr;
  size_t target_size = 0;
  void* event = nullptr;
};

struct ExecuteOptions : Head {
  void* send_callbacks = nullptr;
  void* receive_callbacks = nullptr;
  size_t send_count = 0;
  size_t receive_count = 0;
  int launch = 0;
  const int64_t* not_donated = nullptr;
  size_t not_donated_count = 0;
  void* context = nullptr;
  const char* call_location = nullptr;
  size_t task_count = 0;
  int* tasks = nullptr;
  int64_t* incarnations = nullptr;
};

struct Execute : Head {
  void* executable = nullptr;
  ExecuteOptions* options = nullptr;
  void* const* const* arguments = nullptr;
  size_t device_count = 1;
  size_t argument_count = 0;
  void** const* outputs = nullptr;
  void** done = nullptr;
  void* device = nullptr;
};

struct Serialize : Handle {
  const char* bytes = nullptr;
  size_t length = 0;
  void* owner = nullptr;
  void (*destroy)(void* owner) = nullptr;
};

struct Deserialize : Head {
  void* client = nullptr;
  const char* bytes = nullptr;
  size_t length = 0;
  void* executable = nullptr;
  const char* options = nullptr;
  size_t options_length = 0;
};

struct CompiledMemory : Handle {
  int64_t code = 0, arguments = 0, outputs = 0, aliased = 0, temporaries = 0;
  int64_t host_code = 0, host_arguments = 0, host_outputs = 0, host_aliased = 0, host_temporaries = 0;
  int64_t peak = 0, total = 0;
};

struct OptionalNumber {
  int64_t value = 0;
  bool is_set = false;
};

struct DeviceMemory : Handle {
  int64_t used = 0;
  OptionalNumber peak, allocations, largest, limit, reserved, peak_reserved, reservable, largest_free, pool, peak_pool;
};

}  // namespace pjrt
