// A plugin, its client, compiled programs and buffers, each freed with its last owner. Everything here may
// be called from any thread and may wait for the device; failures are exceptions.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "abi.h"

namespace pjrt {

// The code of errors of our own, as absl's FAILED_PRECONDITION.
constexpr int kRefused = 9;
// Where memory runs out, on the device or here.
constexpr int kExhausted = 8;

struct Failure : std::runtime_error {
  Failure(const std::string& message, int code) : std::runtime_error(message), code(code) {}
  // As in absl::StatusCode.
  int code;
};

class Plugin {
 public:
  // Loads the library, once in a process, and checks its version.
  // @param libraries those that it looks for by their names, in the order of their own needs; the plugin says itself what it misses
  static const Plugin& Load(const std::string& path, const std::vector<std::string>& libraries = {});

  template <typename Argument>
  void Call(Function function, Argument& argument) const {
    argument.size = sizeof(Argument);
    Check(api_->functions[function](&argument));
  }
  // Waits for an event and destroys it.
  void Await(void* event) const;
  void Destroy(Function function, void* handle) const;
  const Version& version() const { return api_->version; }

 private:
  void Check(void* error) const;
  const Api* api_ = nullptr;
};

// StableHLO or any other MLIR, as text or bytecode; refers to the code.
Program MlirProgram(const std::string& code);

// The facts that a plugin gives of a device: its kind, and those of its attributes that are a text or an integer.
struct DeviceFacts {
  DeviceFacts(const Plugin& plugin, void* description);
  std::string kind;
  std::vector<std::pair<std::string, std::string>> texts;
  std::vector<std::pair<std::string, int64_t>> integers;
};

struct Device {
  void* handle = nullptr;
  // Those that it reaches, by their kind.
  std::vector<std::pair<std::string, void*>> memories;
};

// Of the plugin, for its client.
struct ClientOption {
  std::string name;
  // kIntegerValue, kRealValue or kFlagValue.
  int type;
  double value;
};

class Client {
 public:
  Client(const Plugin& plugin, const std::vector<ClientOption>& options);
  ~Client();
  std::string Text(Function function) const;
  // Of the first device.
  DeviceFacts Facts() const;
  // Of the first device; throws where its allocator does not count.
  DeviceMemory Memory() const;
  // Throws where there is no such device.
  const Device& DeviceAt(size_t place) const;

  const Plugin& plugin;
  void* handle = nullptr;
  // At least one.
  std::vector<Device> devices;
  // Buffers that are alive, and their bytes on all devices.
  std::atomic<int64_t> buffers{0}, bytes{0};
};

struct Buffer {
  Buffer(std::shared_ptr<Client> client, void* handle);
  ~Buffer();
  void ToHost(void* target, size_t length) const;
  uint64_t Address() const;

  std::shared_ptr<Client> client;
  void* handle;
  size_t bytes = 0;
};

// @param kind of memory; empty for the device's own
// @param device its place among those of the client
std::shared_ptr<Buffer> Upload(const std::shared_ptr<Client>& client, const void* data, int type, const std::vector<int64_t>& shape,
                               const std::string& kind = "", size_t device = 0);

using Buffers = std::vector<std::shared_ptr<Buffer>>;

class Executable {
 public:
  static std::shared_ptr<Executable> Compile(std::shared_ptr<Client> client, const std::string& code, const std::string& options);
  static std::shared_ptr<Executable> Load(std::shared_ptr<Client> client, const std::string& bytes);
  ~Executable();
  // Starts the program on each of its devices, with the arguments of that device. Buffers that it updates in place are no
  // longer valid afterwards.
  std::vector<Buffers> Run(const std::vector<Buffers>& arguments) const;
  std::string Serialized() const;
  CompiledMemory Memory() const;

 private:
  Executable(std::shared_ptr<Client> client, void* loaded);
  size_t CountDevices() const;
  std::shared_ptr<Client> client_;
  void* loaded_;
  void* executable_ = nullptr;
  size_t output_count_ = 0;
  size_t device_count_ = 0;
};

}  // namespace pjrt
