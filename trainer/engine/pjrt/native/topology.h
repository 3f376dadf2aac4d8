// A device that is described and need not be present: programs are compiled for it, and never run.
#pragma once

#include "client.h"

namespace pjrt {

class CompiledProgram {
 public:
  CompiledProgram(const Plugin& plugin, void* handle) : plugin_(plugin), handle_(handle) {}
  CompiledProgram(const CompiledProgram&) = delete;
  ~CompiledProgram() { plugin_.Destroy(kExecutableDestroy, handle_); }
  CompiledMemory Memory() const;
  // Returns the program after all compiler passes, in the compiler's own binary format.
  std::string Optimized() const;

 private:
  const Plugin& plugin_;
  void* handle_;
};

class Topology {
 public:
  // The options are the plugin's own; for a GPU: "topology" and "target_config", the description of the card.
  Topology(const Plugin& plugin, const std::string& name, const std::vector<std::pair<std::string, std::string>>& options);
  Topology(const Topology&) = delete;
  ~Topology() { plugin_.Destroy(kTopologyDestroy, handle_); }
  std::string PlatformVersion() const;
  // Returns the properties of the first device.
  DeviceFacts Facts() const;
  std::shared_ptr<CompiledProgram> Compile(const std::string& code, const std::string& options) const;

 private:
  const Plugin& plugin_;
  void* handle_ = nullptr;
};

}  // namespace pjrt
