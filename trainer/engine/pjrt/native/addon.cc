// The Node-API side: handles are externals, and everything that may block runs on a libuv thread and returns a promise.
#include <node_api.h>

#include <cstdlib>

#include "client.h"
#include "coder-addon.h"
#include "group-addon.h"
#include "node-values.h"
#include "sum-over-ranks.h"
#include "topology.h"

namespace pjrt {
namespace {

int OptionType(const std::string& kind) {
  if (kind == "float") return kRealValue;
  return kind == "flag" ? kFlagValue : kIntegerValue;
}

// open(path, options: [name, kind, number][], libraries: path[] | undefined) → client
napi_value OpenClient(napi_env env, napi_callback_info info) {
  const Arguments<3> arguments(env, info);
  std::vector<ClientOption> options;
  for (napi_value item : ItemsOf(env, arguments[1])) {
    const auto parts = ItemsOf(env, item);
    double value = 0;
    napi_get_value_double(env, parts[2], &value);
    options.push_back({TextOf(env, parts[0]), OptionType(TextOf(env, parts[1])), value});
  }
  std::vector<std::string> libraries;
  for (napi_value item : ItemsOf(env, arguments[2])) libraries.push_back(TextOf(env, item));
  auto client = std::make_shared<std::shared_ptr<Client>>();
  return Start(
      env, [=, path = TextOf(env, arguments[0])] { *client = std::make_shared<Client>(Plugin::Load(path, libraries), options); },
      [=](napi_env env) { return Wrap(env, *client); });
}

// Returns { kind, attributes } of a device.
napi_value FactsObject(napi_env env, const DeviceFacts& facts) {
  const napi_value object = Object(env), attributes = Object(env);
  for (const auto& [name, text] : facts.texts) Set(env, attributes, name.c_str(), text);
  for (const auto& [name, number] : facts.integers) Set(env, attributes, name.c_str(), number);
  Set(env, object, "kind", facts.kind);
  napi_set_named_property(env, object, "attributes", attributes);
  return object;
}

// describe(client) → { major, minor, platform, version, device: { kind, attributes }, devices }
napi_value Describe(napi_env env, napi_callback_info info) {
  const auto client = Open<Client>(env, Arguments<1>(env, info)[0]);
  if (!client) return nullptr;
  const napi_value object = Object(env);
  try {
    Set(env, object, "major", client->plugin.version().major);
    Set(env, object, "minor", client->plugin.version().minor);
    Set(env, object, "platform", client->Text(kClientPlatformName));
    Set(env, object, "version", client->Text(kClientPlatformVersion));
    napi_set_named_property(env, object, "device", FactsObject(env, client->Facts()));
    Set(env, object, "devices", static_cast<int64_t>(client->devices.size()));
  } catch (const Failure& failure) {
    Throw(env, failure.what());
  }
  return object;
}

// memoryKinds(client) → names of the kinds of memory that the first device can access
napi_value MemoryKinds(napi_env env, napi_callback_info info) {
  const auto client = Open<Client>(env, Arguments<1>(env, info)[0]);
  if (!client) return nullptr;
  const auto& memories = client->devices[0].memories;
  napi_value array;
  napi_create_array_with_length(env, memories.size(), &array);
  for (uint32_t i = 0; i < memories.size(); i++) {
    const std::string& kind = memories[i].first;
    napi_value text;
    napi_create_string_utf8(env, kind.data(), kind.size(), &text);
    napi_set_element(env, array, i, text);
  }
  return array;
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

// deviceMemory(client) → { used, peak, limit, pool } in bytes, or undefined if the device does not count
napi_value DeviceMemory(napi_env env, napi_callback_info info) {
  const auto client = Open<Client>(env, Arguments<1>(env, info)[0]);
  if (!client) return nullptr;
  try {
    const auto memory = client->Memory();
    const napi_value object = Object(env);
    Set(env, object, "used", memory.used);
    if (memory.peak.is_set) Set(env, object, "peak", memory.peak.value);
    if (memory.limit.is_set) Set(env, object, "limit", memory.limit.value);
    if (memory.pool.is_set) Set(env, object, "pool", memory.pool.value);
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

// Returns { arguments, outputs, aliased, temporaries, code, host } in bytes.
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
        memory.host_code + memory.host_arguments + memory.host_outputs - memory.host_aliased + memory.host_temporaries);
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
        *topology = std::make_shared<Topology>(Plugin::Load(path), name, options);
      },
      [=](napi_env env) { return Wrap(env, *topology); });
}

// describedDevice(topology) → { kind, attributes }
napi_value DescribedDevice(napi_env env, napi_callback_info info) {
  const auto topology = Open<Topology>(env, Arguments<1>(env, info)[0]);
  if (!topology) return nullptr;
  try {
    return FactsObject(env, topology->Facts());
  } catch (const Failure& failure) {
    Throw(env, failure.what());
    return nullptr;
  }
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

// upload(client, data: Uint8Array, type, shape, bytes, kind, device) → buffer. Empty data stands for `bytes` zero bytes.
napi_value UploadBuffer(napi_env env, napi_callback_info info) {
  const Arguments<7> arguments(env, info);
  const auto client = Open<Client>(env, arguments[0]);
  if (!client) return nullptr;
  const Bytes data = BytesOf(env, arguments[1]);
  const int type = static_cast<int>(NumberOf(env, arguments[2]));
  const std::vector<int64_t> shape = NumbersOf(env, arguments[3]);
  const size_t bytes = static_cast<size_t>(NumberOf(env, arguments[4]));
  const std::string kind = TextOf(env, arguments[5]);
  const size_t device = static_cast<size_t>(NumberOf(env, arguments[6]));
  auto buffer = std::make_shared<std::shared_ptr<Buffer>>();
  const auto run = [=] {
    if (data.length > 0) {
      *buffer = Upload(client, data.data, type, shape, kind, device);
      return;
    }
    const std::unique_ptr<void, decltype(&std::free)> zeros(std::calloc(bytes > 0 ? bytes : 1, 1), &std::free);
    if (!zeros) throw Failure("not enough memory for zeros", kExhausted);
    *buffer = Upload(client, zeros.get(), type, shape, kind, device);
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

// execute(executable, buffers[] for each device) → buffers[] for each device
napi_value RunExecutable(napi_env env, napi_callback_info info) {
  const Arguments<2> arguments(env, info);
  const auto executable = Open<Executable>(env, arguments[0]);
  if (!executable) return nullptr;
  std::vector<Buffers> inputs;
  for (napi_value device : ItemsOf(env, arguments[1])) {
    inputs.emplace_back();
    for (napi_value item : ItemsOf(env, device)) {
      inputs.back().push_back(Open<Buffer>(env, item));
      if (!inputs.back().back()) return nullptr;
    }
  }
  auto results = std::make_shared<std::vector<Buffers>>();
  return Start(
      env,
      [=]() mutable {
        *results = executable->Run(inputs);
        inputs.clear();
      },
      [=](napi_env env) {
        napi_value devices;
        napi_create_array_with_length(env, results->size(), &devices);
        for (uint32_t i = 0; i < results->size(); i++) napi_set_element(env, devices, i, WrapAll(env, &(*results)[i]));
        return devices;
      });
}

// sumOverRanks(client, [buffer, shape, form, residual][]) → buffers
napi_value Sum(napi_env env, napi_callback_info info) {
  const Arguments<2> arguments(env, info);
  const auto client = Open<Client>(env, arguments[0]);
  if (!client) return nullptr;
  auto sums = std::make_shared<std::vector<RankSum>>();
  for (napi_value item : ItemsOf(env, arguments[1])) {
    const auto parts = ItemsOf(env, item);
    const auto buffer = Open<Buffer>(env, parts[0]);
    if (!buffer) return nullptr;
    sums->push_back({buffer, NumbersOf(env, parts[1]), static_cast<SumForm>(NumberOf(env, parts[2])), TextOf(env, parts[3])});
  }
  auto results = std::make_shared<std::vector<std::shared_ptr<Buffer>>>();
  return Start(
      env, [=] { *results = SumOverRanks(client, std::move(*sums)); }, [=](napi_env env) { return WrapAll(env, results.get()); });
}

// address(buffer) → its address, as a bigint
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

// Releases a handle before it is garbage-collected.
template <typename T>
napi_value Close(napi_env env, napi_callback_info info) {
  if (auto* wrapped = Unwrap<T>(env, Arguments<1>(env, info)[0])) wrapped->reset();
  return nullptr;
}

napi_value Init(napi_env env, napi_value exports) {
  const std::pair<const char*, napi_callback> functions[] = {
      {"open", OpenClient},
      {"describe", Describe},
      {"memoryKinds", MemoryKinds},
      {"alive", Alive},
      {"deviceMemory", DeviceMemory},
      {"compile", Compile},
      {"deserialize", DeserializeExecutable},
      {"serialize", SerializeExecutable},
      {"compiledMemory", CompiledMemoryOf<Executable>},
      {"describeDevice", DescribeDevice},
      {"describedDevice", DescribedDevice},
      {"compileFor", CompileFor},
      {"compiledForMemory", CompiledMemoryOf<CompiledProgram>},
      {"optimized", OptimizedCode},
      {"upload", UploadBuffer},
      {"download", Download},
      {"execute", RunExecutable},
      {"sumOverRanks", Sum},
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
  ExportGroup(env, exports);
  ExportCoder(env, exports);
  return exports;
}

}  // namespace
}  // namespace pjrt

NAPI_MODULE(rowtune_pjrt, pjrt::Init)
