// The part of MPI that data-parallel training needs, over whichever MPI library this machine has: it is found and opened at run time, so the
// kernels are compiled without one.
#pragma once
#include <cstddef>
#include <memory>
#include <string>

// One exchange between all ranks that is on its way.
class Exchange {
 public:
  virtual ~Exchange() = default;
  // Lets MPI work, and says whether the exchange is over. Sets `problem` if it failed.
  virtual bool Test(std::string* problem) = 0;
};

// All calls come from one thread.
class MpiLibrary {
 public:
  virtual ~MpiLibrary() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  // Begins to replace `data` by its sum over all ranks.
  virtual std::unique_ptr<Exchange> AllReduce(float* data, int count, std::string* problem) = 0;
  // Begins to collect `bytes` bytes of each rank, in the order of the ranks.
  virtual std::unique_ptr<Exchange> AllGather(const void* from, void* to, int bytes, std::string* problem) = 0;
  // The same over a connection of their own, apart from those above, whose exchanges have an order of their own. Each rank gives `bytes` bytes to each
  // other one, in the order of the ranks.
  virtual std::unique_ptr<Exchange> AllToAll(const void* from, void* to, int bytes, std::string* problem) = 0;
  // Also over it: `all` holds this rank's `bytes` bytes at its place, and then those of all ranks.
  virtual std::unique_ptr<Exchange> Complete(void* all, int bytes, std::string* problem) = 0;
  virtual void Finalize() = 0;
};

// Opens the library in `path` and joins the other ranks, which blocks until all of them are there. Null with `problem` if that failed.
std::unique_ptr<MpiLibrary> OpenMpi(const std::string& path, std::string* problem);
