#include "host-operation.h"

#include <sys/mman.h>

#include <cstring>
#include <memory>
#include <vector>

#include "../kernels/thread-pool.h"
#include "weight-codes.h"

namespace {

struct HostKernel {
  TF_DataType type = TF_FLOAT;
  std::vector<int64_t> shape;
};

// A smaller piece is copied before another thread has woken up.
constexpr int64_t kPieceBytes = 1 << 20;
constexpr uintptr_t kHugePage = uintptr_t{2} << 20;

// Requests 2 MiB pages for the memory, all of which is written next: the system then maps and clears one page instead of 512. No effect if
// the system has none.
void AdviseHugePages(char* memory, int64_t bytes) {
#ifdef MADV_HUGEPAGE
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(memory) + kHugePage - 1) / kHugePage * kHugePage;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(memory) + static_cast<uintptr_t>(bytes)) / kHugePage * kHugePage;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
}

void Fill(HostForm form, const char* from, char* to, int64_t bytes) {
  AdviseHugePages(to, bytes);
  SharedPool().Run(bytes, kPieceBytes, [=](int64_t begin, int64_t end) {
    const size_t length = static_cast<size_t>(end - begin);
    if (form == HostForm::kZeros) std::memset(to + begin, 0, length);
    else if (form == HostForm::kSame) std::memcpy(to + begin, from + begin, length);
    else WidenPiece(reinterpret_cast<const uint16_t*>(from) + begin / 4, (end - begin) / 4, reinterpret_cast<float*>(to) + begin / 4);
  });
}

}  // namespace

void* CreateHost(TF_OpKernelConstruction* construction) {
  const Status status(TF_NewStatus());
  auto kernel = std::make_unique<HostKernel>();
  int32_t count = 0, bytes = 0;
  TF_OpKernelConstruction_GetAttrType(construction, "T", &kernel->type, status.get());
  if (TF_GetCode(status.get()) == TF_OK) TF_OpKernelConstruction_GetAttrSize(construction, "shape", &count, &bytes, status.get());
  if (TF_GetCode(status.get()) == TF_OK) {
    kernel->shape.resize(static_cast<size_t>(count));
    TF_OpKernelConstruction_GetAttrInt64List(construction, "shape", kernel->shape.data(), count, status.get());
  }
  return Constructed(construction, status.get(), std::move(kernel));
}

void DestroyHost(void* kernel) { delete static_cast<HostKernel*>(kernel); }

void RunHost(void* kernel, TF_OpKernelContext* context) {
  const HostKernel& host = *static_cast<const HostKernel*>(kernel);
  Run run(context);
  const Tensor place = run.Input(0);
  if (!place) return;
  int64_t words[2] = {};
  if (TF_TensorByteSize(place.get()) != sizeof words) return run.Refuse("RowtuneHost: the place of an array has four parts");
  std::memcpy(words, TF_TensorData(place.get()), sizeof words);
  const HostForm form = static_cast<HostForm>(words[1]);
  if (form == HostForm::kBits && host.type != TF_FLOAT) return run.Refuse("RowtuneHost: bits of bfloat16 are widened to float32 alone");
  const size_t bytes = static_cast<size_t>(ElementsOf(host.shape)) * TF_DataTypeSize(host.type);
  const Tensor output(TF_AllocateOutput(context, 0, host.type, host.shape.data(), static_cast<int>(host.shape.size()), bytes, run.status()));
  if (run.Failed()) return;
  Fill(form, reinterpret_cast<const char*>(static_cast<uintptr_t>(words[0])), static_cast<char*>(TF_TensorData(output.get())), static_cast<int64_t>(bytes));
}
