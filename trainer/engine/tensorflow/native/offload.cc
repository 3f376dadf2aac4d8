#include "offload.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

namespace {

// `move` is pread or pwrite, which may move fewer bytes than requested.
template <typename Move>
int MoveAll(int file, int64_t offset, char* memory, size_t bytes, Move move) {
  while (bytes > 0) {
    const ssize_t moved = move(file, memory, bytes, offset);
    if (moved < 0 && errno == EINTR) continue;
    if (moved <= 0) return moved < 0 ? errno : EIO;
    memory += moved;
    offset += moved;
    bytes -= static_cast<size_t>(moved);
  }
  return 0;
}

}  // namespace

int ReserveFile(int file, int64_t bytes) {
  int problem = EINTR;
  while (problem == EINTR) problem = posix_fallocate(file, 0, bytes);
  return problem;
}

int ReadBack(int file, int64_t offset, char* memory, size_t bytes) { return MoveAll(file, offset, memory, bytes, pread); }

int WriteOut(int file, int64_t offset, char* memory, size_t bytes) {
  if (const int problem = MoveAll(file, offset, memory, bytes, pwrite)) return problem;
  // Only whole pages: those at the edges may contain a neighbor's values.
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(memory) + page - 1) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(memory) + bytes) / page * page;
  if (begin < end && madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED) != 0) return errno;
  return 0;
}
