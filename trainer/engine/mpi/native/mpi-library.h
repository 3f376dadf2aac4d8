// The part of MPI that data-parallel training needs, over whichever MPI library this machine has. The library is found and opened at run
// time, so the kernels are compiled without one.
#pragma once
#include <cstddef>
#include <memory>
#include <string>

// An exchange between all ranks that is in progress.
class Exchange {
 public:
  virtual ~Exchange() = default;
  // Lets MPI make progress, and returns whether the exchange has finished. Sets `problem` if it failed.
  virtual bool Test(std::string* problem) = 0;
};

// All calls come from one thread.
class MpiLibrary {
 public:
  virtual ~MpiLibrary() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  // Starts replacing `data` by its sum over all ranks.
  virtual std::unique_ptr<Exchange> AllReduce(float* data, int count, std::string* problem) = 0;
  // Starts gathering `bytes` bytes from each rank, in rank order.
  virtual std::unique_ptr<Exchange> AllGather(const void* from, void* to, int bytes, std::string* problem) = 0;
  // Similar, but over a separate connection, whose exchanges have their own order. Each rank sends `bytes` bytes to every other rank, in
  // rank order.
  virtual std::unique_ptr<Exchange> AllToAll(const void* from, void* to, int bytes, std::string* problem) = 0;
  // Also over the separate connection: `all` holds this rank's `bytes` bytes at its position, and afterwards those of all ranks.
  virtual std::unique_ptr<Exchange> Complete(void* all, int bytes, std::string* problem) = 0;
  virtual void Finalize() = 0;
};

// Opens the library in `path` and joins the other ranks; blocks until all have joined. Returns null and sets `problem` on failure.
std::unique_ptr<MpiLibrary> OpenMpi(const std::string& path, std::string* problem);
