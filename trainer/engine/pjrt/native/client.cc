#include "client.h"

#include <dlfcn.h>

#ifdef __linux__
#include <malloc.h>
#endif

#include <map>
#include <mutex>

namespace pjrt {
namespace {

std::string Dotted(int major, int minor) { return std::to_string(major) + "." + std::to_string(minor); }

const Api* Open(const std::string& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) throw Failure(dlerror(), kRefused);
  const auto get = reinterpret_cast<const Api* (*)()>(dlsym(library, "GetPjrtApi"));
  if (!get) throw Failure(path + " is not a PJRT plugin: it has no function GetPjrtApi", kRefused);
  const Api* api = get();
  // The version is at the same offset in every version.
  const Version& version = api->version;
  const std::string found = "the plugin's PJRT interface is version " + Dotted(version.major, version.minor);
  const std::string wanted = "; this version of Rowtune works with " + Dotted(kMajor, kOldestMinor) + " and later versions below " +
                             Dotted(kMajor + 1, 0);
  if (version.major < kMajor || (version.major == kMajor && version.minor < kOldestMinor))
    throw Failure(found + ", which is too old" + wanted, kRefused);
  if (version.major > kMajor) throw Failure(found + ", which is too new" + wanted, kRefused);
  if (api->size < sizeof(Api) || version.size < sizeof(Version))
    throw Failure(found + ", but its table of functions has " + std::to_string(api->size) + " bytes instead of " +
                      std::to_string(sizeof(Api)) + " or more",
                  kRefused);
  return api;
}

// Returns memory to the system: a compiler frees most of what it has allocated, but glibc keeps it otherwise.
void TrimHeap() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

void* MemoryOf(const Device& device, const std::string& kind) {
  for (const auto& [name, memory] : device.memories)
    if (name == kind) return memory;
  throw Failure("the device has no memory of the kind " + kind, kRefused);
}

}  // namespace

const Plugin& Plugin::Load(const std::string& path, const std::vector<std::string>& libraries) {
  static std::mutex mutex;
  // Never unloaded: its threads live as long as the process.
  static std::map<std::string, Plugin*> loaded;
  const std::lock_guard<std::mutex> lock(mutex);
  Plugin*& plugin = loaded[path];
  if (!plugin) {
    // Each library stays open, so that it is now found by name, wherever it is stored.
    for (const std::string& library : libraries) dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    auto opened = std::make_unique<Plugin>();
    opened->api_ = Open(path);
    Head initialize;
    opened->Call(kPluginInitialize, initialize);
    plugin = opened.release();
  }
  return *plugin;
}

void Plugin::Check(void* error) const {
  if (!error) return;
  pjrt::Text message;
  message.size = sizeof(message);
  message.handle = error;
  api_->functions[kErrorMessage](&message);
  ErrorCode code;
  code.size = sizeof(code);
  code.handle = error;
  api_->functions[kErrorGetCode](&code);
  const Failure failure(std::string(message.text, message.length), code.code);
  Destroy(kErrorDestroy, error);
  throw failure;
}

void Plugin::Await(void* event) const {
  Handle wait;
  wait.handle = event;
  try {
    Call(kEventAwait, wait);
  } catch (...) {
    Destroy(kEventDestroy, event);
    throw;
  }
  Destroy(kEventDestroy, event);
}

void Plugin::Destroy(Function function, void* handle) const {
  Handle destroy;
  destroy.size = sizeof(destroy);
  destroy.handle = handle;
  // Nothing can be done about a failure here, and none was ever seen.
  api_->functions[function](&destroy);
}

Program MlirProgram(const std::string& code) {
  static const std::string format = "mlir";
  Program program;
  program.size = sizeof(program);
  program.code = code.data();
  program.code_length = code.size();
  program.format = format.data();
  program.format_length = format.size();
  return program;
}

Client::Client(const Plugin& plugin, const std::vector<ClientOption>& options) : plugin(plugin) {
  std::vector<NamedValue> values(options.size());
  for (size_t i = 0; i < options.size(); i++) {
    const ClientOption& option = options[i];
    values[i].size = sizeof(NamedValue);
    values[i].name = option.name.data();
    values[i].name_length = option.name.size();
    values[i].type = option.type;
    if (option.type == kRealValue) values[i].real = static_cast<float>(option.value);
    else if (option.type == kFlagValue) values[i].flag = option.value != 0;
    else values[i].integer = static_cast<int64_t>(option.value);
  }
  ClientCreate create;
  create.options = values.data();
  create.option_count = values.size();
  plugin.Call(kClientCreate, create);
  handle = create.client;
  Parts found;
  found.handle = handle;
  plugin.Call(kClientAddressableDevices, found);
  if (found.count == 0) {
    plugin.Destroy(kClientDestroy, handle);
    throw Failure("the plugin found no device", kRefused);
  }
  for (size_t i = 0; i < found.count; i++) {
    Device device;
    device.handle = found.parts[i];
    Parts memories;
    memories.handle = device.handle;
    plugin.Call(kDeviceAddressableMemories, memories);
    for (size_t j = 0; j < memories.count; j++) {
      pjrt::Text kind;
      kind.handle = memories.parts[j];
      plugin.Call(kMemoryKind, kind);
      device.memories.emplace_back(std::string(kind.text, kind.length), memories.parts[j]);
    }
    devices.push_back(std::move(device));
  }
}

Client::~Client() { plugin.Destroy(kClientDestroy, handle); }

std::string Client::Text(Function function) const {
  pjrt::Text text;
  text.handle = handle;
  plugin.Call(function, text);
  return std::string(text.text, text.length);
}

DeviceFacts::DeviceFacts(const Plugin& plugin, void* description) {
  Text name;
  name.handle = description;
  plugin.Call(kDeviceDescriptionKind, name);
  kind.assign(name.text, name.length);
  Attributes found;
  found.handle = description;
  plugin.Call(kDeviceDescriptionAttributes, found);
  for (size_t i = 0; i < found.count; i++) {
    const NamedValue& value = found.values[i];
    const std::string own(value.name, value.name_length);
    if (value.type == kTextValue) texts.emplace_back(own, std::string(value.text, value.length));
    if (value.type == kIntegerValue) integers.emplace_back(own, value.integer);
  }
}

DeviceFacts Client::Facts() const {
  Part description;
  description.handle = devices[0].handle;
  plugin.Call(kDeviceGetDescription, description);
  return DeviceFacts(plugin, description.part);
}

const Device& Client::DeviceAt(size_t place) const {
  if (place < devices.size()) return devices[place];
  throw Failure("the client has " + std::to_string(devices.size()) + " devices, and none at place " + std::to_string(place), kRefused);
}

DeviceMemory Client::Memory() const {
  DeviceMemory memory;
  memory.handle = devices[0].handle;
  plugin.Call(kDeviceMemoryStats, memory);
  return memory;
}

Buffer::Buffer(std::shared_ptr<Client> owner, void* handle) : client(std::move(owner)), handle(handle) {
  Number size;
  size.handle = handle;
  client->plugin.Call(kBufferOnDeviceSizeInBytes, size);
  bytes = size.number;
  client->buffers += 1;
  client->bytes += static_cast<int64_t>(bytes);
}

Buffer::~Buffer() {
  client->plugin.Destroy(kBufferDestroy, handle);
  client->buffers -= 1;
  client->bytes -= static_cast<int64_t>(bytes);
}

void Buffer::ToHost(void* target, size_t length) const {
  BufferToHost copy;
  copy.buffer = handle;
  copy.target = target;
  copy.target_size = length;
  client->plugin.Call(kBufferToHostBuffer, copy);
  client->plugin.Await(copy.event);
}

uint64_t Buffer::Address() const {
  Number address;
  address.handle = handle;
  client->plugin.Call(kBufferUnsafePointer, address);
  return address.number;
}

std::shared_ptr<Buffer> Upload(const std::shared_ptr<Client>& client, const void* data, int type, const std::vector<int64_t>& shape,
                               const std::string& kind, size_t device) {
  const Device& target = client->DeviceAt(device);
  BufferFromHost copy;
  copy.client = client->handle;
  copy.data = data;
  copy.type = type;
  copy.dimensions = shape.data();
  copy.rank = shape.size();
  if (kind.empty())
    copy.device = target.handle;
  else
    copy.memory = MemoryOf(target, kind);
  client->plugin.Call(kClientBufferFromHostBuffer, copy);
  auto buffer = std::make_shared<Buffer>(client, copy.buffer);
  client->plugin.Await(copy.done);
  return buffer;
}

Executable::Executable(std::shared_ptr<Client> client, void* loaded) : client_(std::move(client)), loaded_(loaded) {
  Part part;
  part.handle = loaded_;
  client_->plugin.Call(kLoadedExecutableGetExecutable, part);
  executable_ = part.part;
  Number outputs;
  outputs.handle = executable_;
  client_->plugin.Call(kExecutableNumOutputs, outputs);
  output_count_ = outputs.number;
  device_count_ = CountDevices();
}

// Counts the devices, and checks that arguments are passed in the order of the client's devices.
size_t Executable::CountDevices() const {
  Parts devices;
  devices.handle = loaded_;
  client_->plugin.Call(kLoadedExecutableAddressableDevices, devices);
  for (size_t i = 0; i < devices.count; i++)
    if (client_->DeviceAt(i).handle != devices.parts[i])
      throw Failure("the plugin placed the program on devices in a different order from that of its client", kRefused);
  return devices.count;
}

Executable::~Executable() {
  if (executable_) client_->plugin.Destroy(kExecutableDestroy, executable_);
  client_->plugin.Destroy(kLoadedExecutableDestroy, loaded_);
}

std::shared_ptr<Executable> Executable::Compile(std::shared_ptr<Client> client, const std::string& code, const std::string& options) {
  const Program program = MlirProgram(code);
  pjrt::Compile compile;
  compile.client = client->handle;
  compile.program = &program;
  compile.options = options.data();
  compile.options_length = options.size();
  client->plugin.Call(kClientCompile, compile);
  TrimHeap();
  return std::shared_ptr<Executable>(new Executable(std::move(client), compile.executable));
}

std::shared_ptr<Executable> Executable::Load(std::shared_ptr<Client> client, const std::string& bytes) {
  Deserialize load;
  load.client = client->handle;
  load.bytes = bytes.data();
  load.length = bytes.size();
  client->plugin.Call(kExecutableDeserializeAndLoad, load);
  TrimHeap();
  return std::shared_ptr<Executable>(new Executable(std::move(client), load.executable));
}

std::vector<Buffers> Executable::Run(const std::vector<Buffers>& arguments) const {
  if (arguments.size() != device_count_)
    throw Failure("the program runs on " + std::to_string(device_count_) + " devices, and there are arguments for " +
                      std::to_string(arguments.size()),
                  kRefused);
  std::vector<std::vector<void*>> inputs, outputs;
  std::vector<void* const*> input_lists;
  std::vector<void**> output_lists;
  for (const Buffers& own : arguments) {
    std::vector<void*> handles;
    for (const auto& argument : own) handles.push_back(argument->handle);
    inputs.push_back(std::move(handles));
    outputs.emplace_back(output_count_);
  }
  for (size_t i = 0; i < device_count_; i++) {
    input_lists.push_back(inputs[i].data());
    output_lists.push_back(outputs[i].data());
  }
  ExecuteOptions options;
  options.size = sizeof(options);
  Execute execute;
  execute.executable = loaded_;
  execute.options = &options;
  execute.arguments = input_lists.data();
  execute.device_count = device_count_;
  execute.argument_count = inputs[0].size();
  execute.outputs = output_lists.data();
  client_->plugin.Call(kLoadedExecutableExecute, execute);
  std::vector<Buffers> results;
  for (const auto& handles : outputs) {
    Buffers own;
    for (void* output : handles) own.push_back(std::make_shared<Buffer>(client_, output));
    results.push_back(std::move(own));
  }
  return results;
}

std::string Executable::Serialized() const {
  Serialize serialize;
  serialize.handle = executable_;
  client_->plugin.Call(kExecutableSerialize, serialize);
  std::string bytes(serialize.bytes, serialize.length);
  serialize.destroy(serialize.owner);
  return bytes;
}

CompiledMemory Executable::Memory() const {
  CompiledMemory memory;
  memory.handle = executable_;
  client_->plugin.Call(kExecutableGetCompiledMemoryStats, memory);
  return memory;
}

}  // namespace pjrt
