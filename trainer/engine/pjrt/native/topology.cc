#include "topology.h"

namespace pjrt {

Topology::Topology(const Plugin& plugin, const std::string& name, const std::vector<std::pair<std::string, std::string>>& options)
    : plugin_(plugin) {
  std::vector<NamedValue> values(options.size());
  for (size_t i = 0; i < options.size(); i++) {
    values[i].size = sizeof(NamedValue);
    values[i].name = options[i].first.data();
    values[i].name_length = options[i].first.size();
    values[i].type = kTextValue;
    values[i].text = options[i].second.data();
    values[i].length = options[i].second.size();
  }
  TopologyCreate create;
  create.name = name.data();
  create.name_length = name.size();
  create.options = values.data();
  create.option_count = values.size();
  plugin.Call(kTopologyCreate, create);
  handle_ = create.topology;
}

std::string Topology::PlatformVersion() const {
  Text text;
  text.handle = handle_;
  plugin_.Call(kTopologyPlatformVersion, text);
  return std::string(text.text, text.length);
}

DeviceFacts Topology::Facts() const {
  Parts descriptions;
  descriptions.handle = handle_;
  plugin_.Call(kTopologyGetDeviceDescriptions, descriptions);
  if (descriptions.count == 0) throw Failure("the topology has no device", kRefused);
  return DeviceFacts(plugin_, descriptions.parts[0]);
}

std::shared_ptr<CompiledProgram> Topology::Compile(const std::string& code, const std::string& options) const {
  const Program program = MlirProgram(code);
  CompileForTopology compile;
  compile.topology = handle_;
  compile.program = &program;
  compile.options = options.data();
  compile.options_length = options.size();
  plugin_.Call(kCompileForTopology, compile);
  return std::make_shared<CompiledProgram>(plugin_, compile.executable);
}

CompiledMemory CompiledProgram::Memory() const {
  CompiledMemory memory;
  memory.handle = handle_;
  plugin_.Call(kExecutableGetCompiledMemoryStats, memory);
  return memory;
}

std::string CompiledProgram::Optimized() const {
  Program program;
  program.size = sizeof(program);
  OptimizedProgram optimized;
  optimized.handle = handle_;
  optimized.program = &program;
  plugin_.Call(kExecutableOptimizedProgram, optimized);
  std::string code(program.code_length, '\0');
  program.code = code.data();
  plugin_.Call(kExecutableOptimizedProgram, optimized);
  return code;
}

}  // namespace pjrt
