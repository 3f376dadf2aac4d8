// MPI has one C interface and three ABIs: MPICH's (also Intel MPI, MVAPICH and Cray MPI), whose handles are integers; the standard one of
// MPI 5.0 (libmpi_abi), whose handles are pointers with fixed values; and Open MPI's, whose handles are addresses.
#include "mpi-library.h"

#include <dlfcn.h>

#include <cstdint>

namespace {

constexpr int kThreadSerialized = 2;  // MPI_THREAD_SERIALIZED in all three

// Values of the constants used here. The integers are those in mpi.h of MPICH 5.0.2 and in the standard's mpi_abi.h.
template <typename Handle>
struct Constants {
  Handle world, floats, bytes, sum, errors_return;
  void* in_place;
  void* no_status;
};

template <typename Handle>
struct Functions {
  int (*init_thread)(int*, char***, int, int*);
  int (*finalize)();
  int (*comm_rank)(Handle, int*);
  int (*comm_size)(Handle, int*);
  int (*comm_set_errhandler)(Handle, Handle);
  int (*iallreduce)(const void*, void*, int, Handle, Handle, Handle, Handle*);
  int (*comm_dup)(Handle, Handle*);
  int (*ialltoall)(const void*, int, Handle, void*, int, Handle, Handle, Handle*);
  int (*iallgather)(const void*, int, Handle, void*, int, Handle, Handle, Handle*);
  int (*test)(Handle*, int*, void*);
  int (*error_string)(int, char*, int*);
};

template <typename Function>
bool Find(void* library, const char* name, Function* function, std::string* problem) {
  *function = reinterpret_cast<Function>(dlsym(library, name));
  if (*function == nullptr) *problem = std::string("it has no ") + name;
  return *function != nullptr;
}

template <typename Handle>
bool FindAll(void* library, Functions<Handle>* f, std::string* problem) {
  return Find(library, "MPI_Init_thread", &f->init_thread, problem) && Find(library, "MPI_Finalize", &f->finalize, problem) &&
         Find(library, "MPI_Comm_rank", &f->comm_rank, problem) && Find(library, "MPI_Comm_size", &f->comm_size, problem) &&
         Find(library, "MPI_Comm_set_errhandler", &f->comm_set_errhandler, problem) &&
         Find(library, "MPI_Comm_dup", &f->comm_dup, problem) && Find(library, "MPI_Ialltoall", &f->ialltoall, problem) &&
         Find(library, "MPI_Iallreduce", &f->iallreduce, problem) && Find(library, "MPI_Iallgather", &f->iallgather, problem) &&
         Find(library, "MPI_Test", &f->test, problem) && Find(library, "MPI_Error_string", &f->error_string, problem);
}

template <typename Handle>
class Library final : public MpiLibrary {
 public:
  Library(const Functions<Handle>& functions, const Constants<Handle>& constants) : f_(functions), c_(constants) {}

  bool Open(std::string* problem) {
    int provided = 0;
    if (Failed(f_.init_thread(nullptr, nullptr, kThreadSerialized, &provided), problem)) return false;
    if (provided < kThreadSerialized) {
      *problem = "it does not support calls from a thread of their own (MPI_THREAD_SERIALIZED)";
      return false;
    }
    return !Failed(f_.comm_set_errhandler(c_.world, c_.errors_return), problem) && !Failed(f_.comm_rank(c_.world, &rank_), problem) &&
           !Failed(f_.comm_size(c_.world, &size_), problem) && !Failed(f_.comm_dup(c_.world, &apart_), problem);
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  std::unique_ptr<Exchange> AllReduce(float* data, int count, std::string* problem) override {
    Handle request;
    if (Failed(f_.iallreduce(c_.in_place, data, count, c_.floats, c_.sum, c_.world, &request), problem)) return nullptr;
    return std::make_unique<Request>(this, request);
  }

  std::unique_ptr<Exchange> AllGather(const void* from, void* to, int bytes, std::string* problem) override {
    Handle request;
    if (Failed(f_.iallgather(from, bytes, c_.bytes, to, bytes, c_.bytes, c_.world, &request), problem)) return nullptr;
    return std::make_unique<Request>(this, request);
  }

  std::unique_ptr<Exchange> AllToAll(const void* from, void* to, int bytes, std::string* problem) override {
    Handle request;
    if (Failed(f_.ialltoall(from, bytes, c_.bytes, to, bytes, c_.bytes, apart_, &request), problem)) return nullptr;
    return std::make_unique<Request>(this, request);
  }

  std::unique_ptr<Exchange> Complete(void* all, int bytes, std::string* problem) override {
    Handle request;
    if (Failed(f_.iallgather(c_.in_place, bytes, c_.bytes, all, bytes, c_.bytes, apart_, &request), problem)) return nullptr;
    return std::make_unique<Request>(this, request);
  }

  void Finalize() override { f_.finalize(); }

 private:
  class Request final : public Exchange {
   public:
    Request(Library* library, Handle request) : library_(library), request_(request) {}
    bool Test(std::string* problem) override {
      int done = 0;
      if (library_->Failed(library_->f_.test(&request_, &done, library_->c_.no_status), problem)) return true;
      return done != 0;
    }

   private:
    Library* const library_;
    Handle request_;
  };

  bool Failed(int code, std::string* problem) {
    if (code == 0) return false;
    char text[8192] = {};  // MPI_MAX_ERROR_STRING is at most 1024
    int length = 0;
    f_.error_string(code, text, &length);
    *problem = text;
    return true;
  }

  const Functions<Handle> f_;
  const Constants<Handle> c_;
  Handle apart_{};
  int rank_ = 0, size_ = 1;
};

template <typename Handle>
std::unique_ptr<MpiLibrary> Open(void* library, const Constants<Handle>& constants, std::string* problem) {
  Functions<Handle> functions;
  if (!FindAll(library, &functions, problem)) return nullptr;
  auto opened = std::make_unique<Library<Handle>>(functions, constants);
  return opened->Open(problem) ? std::move(opened) : nullptr;
}

void* Pointer(intptr_t value) { return reinterpret_cast<void*>(value); }

}  // namespace

std::unique_ptr<MpiLibrary> OpenMpi(const std::string& path, std::string* problem) {
  // Opened globally: the plugins of Open MPI look for its symbols.
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) {
    *problem = dlerror();
    return nullptr;
  }
  if (void* world = dlsym(library, "ompi_mpi_comm_world")) {
    const auto symbol = [&](const char* name) { return dlsym(library, name); };
    const Constants<void*> open_mpi = {world, symbol("ompi_mpi_float"), symbol("ompi_mpi_byte"), symbol("ompi_mpi_op_sum"), symbol("ompi_mpi_errors_return"), Pointer(1), nullptr};
    if (open_mpi.floats == nullptr || open_mpi.bytes == nullptr || open_mpi.sum == nullptr || open_mpi.errors_return == nullptr) {
      *problem = "it looks like Open MPI and lacks some of its symbols";
      return nullptr;
    }
    return Open<void*>(library, open_mpi, problem);
  }
  if (path.find("libmpi_abi") != std::string::npos)
    return Open<void*>(library, {Pointer(0x101), Pointer(0x210), Pointer(0x247), Pointer(0x21), Pointer(0x143), Pointer(1), nullptr}, problem);
  return Open<int>(library, {0x44000000, 0x4c00040a, 0x4c00010d, 0x58000003, 0x54000001, Pointer(-1), Pointer(1)}, problem);
}
