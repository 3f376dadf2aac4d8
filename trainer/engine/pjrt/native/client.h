// A plugin, its client, compiled programs and buffers, each freed with its last owner. Everything here may be called from any thread and
// may wait for the device; failures are exceptions.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "abi.h"

namespace pjrt {

// Code of our own errors, equal to absl's FAILED_PRECONDITION.
constexpr int kRefused = 9;
// Code for running out of memory, on the device or the host.
constexpr int kExhausted = 8;

struct Failure : std::runtime_error {
  Failure(const std::string& message, int code) : std::runtime_error(message), code(code) {}
  // Values of absl::StatusCode.
  int code;
};

class Plugin {
 public:
  // Loads the library, once per process, and checks its version.
  // @param libraries those that it looks up by name, in dependency order; the plugin itself reports missing ones
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

// Returns a program of StableHLO or any other MLIR, as text or bytecode; it refers to the code.
Program MlirProgram(const std::string& code);

// The properties of a device that a plugin reports: its kind, and its string and integer attributes.
struct DeviceFacts {
  DeviceFacts(const Plugin& plugin, void* description);
  std::string kind;
  std::vector<std::pair<std::string, std::string>> texts;
  std::vector<std::pair<std::string, int64_t>> integers;
};

struct Device {
  void* handle = nullptr;
  // Memories that the device can access, by kind.
  std::vector<std::pair<std::string, void*>> memories;
};

// An option of the plugin's client.
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
  // Returns the properties of the first device.
  DeviceFacts Facts() const;
  // Returns the memory counts of the first device; throws if its allocator does not count.
  DeviceMemory Memory() const;
  // Returns a device; throws if there is no such device.
  const Device& DeviceAt(size_t place) const;

  const Plugin& plugin;
  void* handle = nullptr;
  // Has at least one device.
  std::vector<Device> devices;
  // Number and total bytes of live buffers on all devices.
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

// Uploads data. @param kind of memory; empty for the device's own @param device index among those of the client
std::shared_ptr<Buffer> Upload(const std::shared_ptr<Client>& client, const void* data, int type, const std::vector<int64_t>& shape,
                               const std::string& kind = "", size_t device = 0);

using Buffers = std::vector<std::shared_ptr<Buffer>>;

class Executable {
 public:
  static std::shared_ptr<Executable> Compile(std::shared_ptr<Client> client, const std::string& code, const std::string& options);
  static std::shared_ptr<Executable> Load(std::shared_ptr<Client> client, const std::string& bytes);
  ~Executable();
  // Starts the program on each of its devices, with that device's arguments. Buffers that it updates in place are invalid afterwards.
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
