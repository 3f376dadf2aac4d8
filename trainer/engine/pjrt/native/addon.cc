// The Node-API side: handles are externals, and whatever may wait runs on a thread of libuv's and gives a promise.
#include <node_api.h>

#include <cstdlib>
#include <functional>

#include "client.h"
#include "topology.h"

namespace {

using pjrt::Buffer;
using pjrt::Client;
using pjrt::CompiledProgram;
using pjrt::Executable;
using pjrt::Failure;
using pjrt::Topology;

void Throw(napi_env env, const std::string& message) { napi_throw_error(env, nullptr, message.c_str()); }

template <typename T>
napi_value Wrap(napi_env env, std::shared_ptr<T> object) {
  napi_value value;
  const auto release = [](napi_env, void* data, void*) { delete static_cast<std::shared_ptr<T>*>(data); };
  napi_create_external(env, new std::shared_ptr<T>(std::move(object)), release, nullptr, &value);
  return value;
}

// Empty where the handle was closed.
template <typename T>
std::shared_ptr<T>* Unwrap(napi_env env, napi_value value) {
  void* data = nullptr;
  napi_get_value_external(env, value, &data);
  return static_cast<std::shared_ptr<T>*>(data);
}

template <size_t Count>
struct Arguments {
  napi_value values[Count];
  Arguments(napi_env env, napi_callback_info info) {
    size_t count = Count;
    napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  }
  napi_value operator[](size_t i) const { return values[i]; }
};

std::string TextOf(napi_env env, napi_value value) {
  size_t length = 0;
  napi_get_value_string_utf8(env, value, nullptr, 0, &length);
  std::string text(length, '\0');
  napi_get_value_string_utf8(env, value, text.data(), length + 1, &length);
  return text;
}

int64_t NumberOf(napi_env env, napi_value value) {
  int64_t number = 0;
  napi_get_value_int64(env, value, &number);
  return number;
}

struct Bytes {
  void* data = nullptr;
  size_t length = 0;
};

// The memory of a Uint8Array.
Bytes BytesOf(napi_env env, napi_value value) {
  Bytes bytes;
  napi_get_typedarray_info(env, value, nullptr, &bytes.length, &bytes.data, nullptr, nullptr);
  return bytes;
}

std::vector<napi_value> ItemsOf(napi_env env, napi_value array) {
  uint32_t length = 0;
  napi_get_array_length(env, array, &length);
  std::vector<napi_value> items(length);
  for (uint32_t i = 0; i < length; i++) napi_get_element(env, array, i, &items[i]);
  return items;
}

void Set(napi_env env, napi_value object, const char* name, int64_t number) {
  napi_value value;
  napi_create_int64(env, number, &value);
  napi_set_named_property(env, object, name, value);
}

void Set(napi_env env, napi_value object, const char* name, const std::string& text) {
  napi_value value;
  napi_create_string_utf8(env, text.data(), text.size(), &value);
  napi_set_named_property(env, object, name, value);
}

napi_value Object(napi_env env) {
  napi_value object;
  napi_create_object(env, &object);
  return object;
}

// One call on another thread.
struct Task {
  std::function<void()> run;
  std::function<napi_value(napi_env)> result;
  std::string problem;
  int code = 0;
  bool failed = false;
  napi_async_work work = nullptr;
  napi_deferred deferred = nullptr;
  // Keeps an array alive, and where it is, until the call is over.
  napi_ref kept = nullptr;
};

void RunTask(napi_env, void* data) {
  Task* task = static_cast<Task*>(data);
  try {
    task->run();
  } catch (const Failure& failure) {
    task->failed = true;
    task->problem = failure.what();
    task->code = failure.code;
  } catch (const std::exception& failure) {
    task->failed = true;
    task->problem = failure.what();
  }
}

void EndTask(napi_env env, napi_status, void* data) {
  const std::unique_ptr<Task> task(static_cast<Task*>(data));
  if (task->failed) {
    napi_value message, error;
    napi_create_string_utf8(env, task->problem.data(), task->problem.size(), &message);
    napi_create_error(env, nullptr, message, &error);
    Set(env, error, "status", task->code);
    napi_reject_deferred(env, task->deferred, error);
  } else {
    napi_resolve_deferred(env, task->deferred, task->result(env));
  }
  if (task->kept) napi_delete_reference(env, task->kept);
  napi_delete_async_work(env, task->work);
}

napi_value Start(napi_env env, std::function<void()> run, std::function<napi_value(napi_env)> result, napi_value kept = nullptr) {
  auto task = std::make_unique<Task>();
  task->run = std::move(run);
  task->result = std::move(result);
  napi_value promise, name;
  napi_create_promise(env, &task->deferred, &promise);
  napi_create_string_utf8(env, "pjrt", NAPI_AUTO_LENGTH, &name);
  if (kept) napi_create_reference(env, kept, 1, &task->kept);
  napi_create_async_work(env, nullptr, name, RunTask, EndTask, task.get(), &task->work);
  napi_queue_async_work(env, task->work);
  task.release();
  return promise;
}

// The object of a handle; throws in JavaScript, and is empty, where it was closed.
template <typename T>
std::shared_ptr<T> Open(napi_env env, napi_value handle) {
  const auto* wrapped = Unwrap<T>(env, handle);
  if (wrapped && *wrapped) return *wrapped;
  Throw(env, "this handle was closed");
  return nullptr;
}

// open(path, options: [name, integer][]) → client
napi_value OpenClient(napi_env env, napi_callback_info info) {
  const Arguments<2> arguments(env, info);
  std::vector<std::pair<std::string, int64_t>> options;
  for (napi_value item : ItemsOf(env, arguments[1])) {
    const auto pair = ItemsOf(env, item);
    options.emplace_back(TextOf(env, pair[0]), NumberOf(env, pair[1]));
  }
  auto client = std::make_shared<std::shared_ptr<Client>>();
  return Start(
      env, [=, path = TextOf(env, arguments[0])] { *client = std::make_shared<Client>(pjrt::Plugin::Load(path), options); },
      [=](napi_env env) { return Wrap(env, *client); });
}

// describe(client) → { major, minor, platform, version, device, devices }
napi_value Describe(napi_env env, napi_callback_info info) {
  const auto client = Open<Client>(env, Arguments<1>(env, info)[0]);
  if (!client) return nullptr;
  const napi_value object = Object(env);
  try {
    Set(env, object, "major", client->plugin.version().major);
    Set(env, object, "minor", client->plugin.version().minor);
    Set(env, object, "platform", client->Text(pjrt::kClientPlatformName));
    Set(env, object, "version", client->Text(pjrt::kClientPlatformVersion));
    Set(env, object, "device", client->DeviceKind());
    Set(env, object, "devices", static_cast<int64_t>(client->device_count));
  } catch (const Failure& failure) {
    Throw(env, failure.what());
  }
  return object;
}

// alive(client) → { buffers, bytes }
napi_value Alive(napi_env env, napi_callback_info info) {
  const auto client = Open<Client>(env, Arguments<1>(env, info)[0]);
  if (!client) return nullptr;
  const napi_value object = Object(env);
  Set(env, object, "buffers", client->buffers);
  Set(env, object, "bytes", client->bytes);
  return object;
}

// deviceMemory(client) → { used, peak, limit } in bytes, or undefined where the device does not count
napi_value DeviceMemory(napi_env env, napi_callback_info info) {
  const auto client = Open<Client>(env, Arguments<1>(env, info)[0]);
  if (!client) return nullptr;
  try {
    const auto memory = client->Memory();
    const napi_value object = Object(env);
    Set(env, object, "used", memory.used);
    if (memory.peak.is_set) Set(env, object, "peak", memory.peak.value);
    if (memory.limit.is_set) Set(env, object, "limit", memory.limit.value);
    return object;
  } catch (const Failure&) {
    return nullptr;
  }
}

napi_value StartExecutable(napi_env env, std::function<std::shared_ptr<Executable>()> make) {
  auto made = std::make_shared<std::shared_ptr<Executable>>();
  return Start(env, [=] { *made = make(); }, [=](napi_env env) { return Wrap(env, *made); });
}

std::string CopyOf(const Bytes& bytes) { return std::string(static_cast<const char*>(bytes.data), bytes.length); }

// compile(client, code, options) → executable; both Uint8Array
napi_value Compile(napi_env env, napi_callback_info info) {
  const Arguments<3> arguments(env, info);
  const auto client = Open<Client>(env, arguments[0]);
  if (!client) return nullptr;
  return StartExecutable(env, [client, code = CopyOf(BytesOf(env, arguments[1])), options = CopyOf(BytesOf(env, arguments[2]))] {
    return Executable::Compile(client, code, options);
  });
}

// deserialize(client, bytes) → executable
napi_value DeserializeExecutable(napi_env env, napi_callback_info info) {
  const Arguments<2> arguments(env, info);
  const auto client = Open<Client>(env, arguments[0]);
  if (!client) return nullptr;
  return StartExecutable(env, [client, bytes = CopyOf(BytesOf(env, arguments[1]))] { return Executable::Load(client, bytes); });
}

napi_value BytesArray(napi_env env, const std::string& bytes) {
  void* data = nullptr;
  napi_value memory, array;
  napi_create_arraybuffer(env, bytes.size(), &data, &memory);
  bytes.copy(static_cast<char*>(data), bytes.size());
  napi_create_typedarray(env, napi_uint8_array, bytes.size(), memory, 0, &array);
  return array;
}

napi_value StartBytes(napi_env env, std::function<std::string()> make) {
  auto bytes = std::make_shared<std::string>();
  return Start(env, [=] { *bytes = make(); }, [=](napi_env env) { return BytesArray(env, *bytes); });
}

// serialize(executable) → Uint8Array
napi_value SerializeExecutable(napi_env env, napi_callback_info info) {
  const auto executable = Open<Executable>(env, Arguments<1>(env, info)[0]);
  if (!executable) return nullptr;
  return StartBytes(env, [=] { return executable->Serialized(); });
}

// { arguments, outputs, aliased, temporaries, code, host } in bytes
template <typename T>
napi_value CompiledMemoryOf(napi_env env, napi_callback_info info) {
  const auto compiled = Open<T>(env, Arguments<1>(env, info)[0]);
  if (!compiled) return nullptr;
  const napi_value object = Object(env);
  try {
    const auto memory = compiled->Memory();
    Set(env, object, "arguments", memory.arguments);
    Set(env, object, "outputs", memory.outputs);
    Set(env, object, "aliased", memory.aliased);
    Set(env, object, "temporaries", memory.temporaries);
    Set(env, object, "code", memory.code);
    Set(env, object, "host",
        memory.host_code + memory.host_arguments + memory.host_outputs + memory.host_aliased + memory.host_temporaries);
  } catch (const Failure& failure) {
    Throw(env, failure.what());
  }
  return object;
}

// describeDevice(path, name, options: [name, text][]) → topology
napi_value DescribeDevice(napi_env env, napi_callback_info info) {
  const Arguments<3> arguments(env, info);
  std::vector<std::pair<std::string, std::string>> options;
  for (napi_value item : ItemsOf(env, arguments[2])) {
    const auto pair = ItemsOf(env, item);
    options.emplace_back(TextOf(env, pair[0]), TextOf(env, pair[1]));
  }
  auto topology = std::make_shared<std::shared_ptr<Topology>>();
  return Start(
      env,
      [=, path = TextOf(env, arguments[0]), name = TextOf(env, arguments[1])] {
        *topology = std::make_shared<Topology>(pjrt::Plugin::Load(path), name, options);
      },
      [=](napi_env env) { return Wrap(env, *topology); });
}

// compileFor(topology, code, options) → compiled; both Uint8Array
napi_value CompileFor(napi_env env, napi_callback_info info) {
  const Arguments<3> arguments(env, info);
  const auto topology = Open<Topology>(env, arguments[0]);
  if (!topology) return nullptr;
  auto made = std::make_shared<std::shared_ptr<CompiledProgram>>();
  return Start(
      env,
      [=, code = CopyOf(BytesOf(env, arguments[1])), options = CopyOf(BytesOf(env, arguments[2]))] {
        *made = topology->Compile(code, options);
      },
      [=](napi_env env) { return Wrap(env, *made); });
}

// optimized(compiled) → Uint8Array
napi_value OptimizedCode(napi_env env, napi_callback_info info) {
  const auto compiled = Open<CompiledProgram>(env, Arguments<1>(env, info)[0]);
  if (!compiled) return nullptr;
  return StartBytes(env, [=] { return compiled->Optimized(); });
}

// upload(client, data: Uint8Array, type, shape) → buffer. Data of no bytes stands for zeros, `bytes` of them.
napi_value UploadBuffer(napi_env env, napi_callback_info info) {
  const Arguments<5> arguments(env, info);
  const auto client = Open<Client>(env, arguments[0]);
  if (!client) return nullptr;
  const Bytes data = BytesOf(env, arguments[1]);
  const int type = static_cast<int>(NumberOf(env, arguments[2]));
  std::vector<int64_t> shape;
  for (napi_value size : ItemsOf(env, arguments[3])) shape.push_back(NumberOf(env, size));
  const size_t bytes = static_cast<size_t>(NumberOf(env, arguments[4]));
  auto buffer = std::make_shared<std::shared_ptr<Buffer>>();
  const auto run = [=] {
    if (data.length > 0) {
      *buffer = pjrt::Upload(client, data.data, type, shape);
      return;
    }
    const std::unique_ptr<void, decltype(&std::free)> zeros(std::calloc(bytes > 0 ? bytes : 1, 1), &std::free);
    if (!zeros) throw Failure("not enough memory for zeros", 8);
    *buffer = pjrt::Upload(client, zeros.get(), type, shape);
  };
  return Start(env, run, [=](napi_env env) { return Wrap(env, *buffer); }, arguments[1]);
}

// download(buffer, target: Uint8Array) → undefined
napi_value Download(napi_env env, napi_callback_info info) {
  const Arguments<2> arguments(env, info);
  const auto buffer = Open<Buffer>(env, arguments[0]);
  if (!buffer) return nullptr;
  const Bytes target = BytesOf(env, arguments[1]);
  const auto nothing = [](napi_env env) {
    napi_value undefined;
    napi_get_undefined(env, &undefined);
    return undefined;
  };
  return Start(env, [=] { buffer->ToHost(target.data, target.length); }, nothing, arguments[1]);
}

// execute(executable, buffers) → buffers
napi_value RunExecutable(napi_env env, napi_callback_info info) {
  const Arguments<2> arguments(env, info);
  const auto executable = Open<Executable>(env, arguments[0]);
  if (!executable) return nullptr;
  std::vector<std::shared_ptr<Buffer>> buffers;
  for (napi_value item : ItemsOf(env, arguments[1])) {
    buffers.push_back(Open<Buffer>(env, item));
    if (!buffers.back()) return nullptr;
  }
  auto results = std::make_shared<std::vector<std::shared_ptr<Buffer>>>();
  return Start(
      env,
      [=]() mutable {
        *results = executable->Run(buffers);
        buffers.clear();
      },
      [=](napi_env env) {
        napi_value array;
        napi_create_array_with_length(env, results->size(), &array);
        for (uint32_t i = 0; i < results->size(); i++) napi_set_element(env, array, i, Wrap(env, (*results)[i]));
        results->clear();
        return array;
      });
}

// address(buffer) → where it lies, as a bigint
napi_value Address(napi_env env, napi_callback_info info) {
  const auto buffer = Open<Buffer>(env, Arguments<1>(env, info)[0]);
  if (!buffer) return nullptr;
  napi_value address = nullptr;
  try {
    napi_create_bigint_uint64(env, buffer->Address(), &address);
  } catch (const Failure& failure) {
    Throw(env, failure.what());
  }
  return address;
}

// Lets go of a handle before it is collected.
template <typename T>
napi_value Close(napi_env env, napi_callback_info info) {
  if (auto* wrapped = Unwrap<T>(env, Arguments<1>(env, info)[0])) wrapped->reset();
  return nullptr;
}

napi_value Init(napi_env env, napi_value exports) {
  const std::pair<const char*, napi_callback> functions[] = {
      {"open", OpenClient},
      {"describe", Describe},
      {"alive", Alive},
      {"deviceMemory", DeviceMemory},
      {"compile", Compile},
      {"deserialize", DeserializeExecutable},
      {"serialize", SerializeExecutable},
      {"compiledMemory", CompiledMemoryOf<Executable>},
      {"describeDevice", DescribeDevice},
      {"compileFor", CompileFor},
      {"compiledForMemory", CompiledMemoryOf<CompiledProgram>},
      {"optimized", OptimizedCode},
      {"upload", UploadBuffer},
      {"download", Download},
      {"execute", RunExecutable},
      {"address", Address},
      {"closeClient", Close<Client>},
      {"closeExecutable", Close<Executable>},
      {"closeTopology", Close<Topology>},
      {"closeCompiled", Close<CompiledProgram>},
      {"closeBuffer", Close<Buffer>},
  };
  for (const auto& [name, callback] : functions) {
    napi_value function;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function);
    napi_set_named_property(env, exports, name, function);
  }
  return exports;
}

}  // namespace

NAPI_MODULE(rowtune_pjrt, Init)
