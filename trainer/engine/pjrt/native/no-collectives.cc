// The exchanges of collective-library.h use TensorFlow, which is not part of this addon.
#include "collective-library.h"

std::unique_ptr<MpiLibrary> OpenCollectives(const std::string&, std::string* problem) {
  *problem = "only the TensorFlow engine connects processes over gRPC; this one needs MPI";
  return nullptr;
}
