#include "narrow-sum.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace {

// Values in transit at a time: including the received ones, 64 MB in bfloat16. Priced by plan/memory/exchange-buffers.ts.
constexpr int64_t kPart = int64_t{1} << 24;
// Number of values that share a scale.
constexpr int64_t kBlock = 128;

// Rounds to nearest, ties to even.
uint16_t Narrow(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<uint16_t>(bits >> 16 | 0x40); // quiet NaN
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float Widen(uint16_t narrow) {
  const uint32_t bits = uint32_t{narrow} << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

int64_t BlockBytes(SumForm form, int64_t count) {
  return form == SumForm::kInt8 ? static_cast<int64_t>(sizeof(float)) + count : 2 * count;
}

// Narrows a block of at most kBlock values.
void Write(SumForm form, const float* values, int64_t count, uint8_t* wire) {
  if (form == SumForm::kBfloat16) {
    for (int64_t i = 0; i < count; i++) {
      const uint16_t narrow = Narrow(values[i]);
      std::memcpy(wire + 2 * i, &narrow, sizeof narrow);
    }
    return;
  }
  float most = 0;
  bool finite = true;
  for (int64_t i = 0; i < count; i++) {
    finite = finite && std::isfinite(values[i]);
    most = std::max(most, std::fabs(values[i]));
  }
  // A block with a non-finite value becomes NaN on the other side as well: the run then stops.
  const float scale = finite ? most / 127 : NAN;
  std::memcpy(wire, &scale, sizeof scale);
  int8_t* const out = reinterpret_cast<int8_t*>(wire + sizeof scale);
  // A scale too small for a float is 0: the residual keeps such values.
  for (int64_t i = 0; i < count; i++)
    out[i] = finite && scale > 0 ? static_cast<int8_t>(std::clamp(std::nearbyint(values[i] / scale), -127.0f, 127.0f)) : 0;
}

void Read(SumForm form, const uint8_t* wire, int64_t count, float* values) {
  if (form == SumForm::kBfloat16) {
    for (int64_t i = 0; i < count; i++) {
      uint16_t narrow;
      std::memcpy(&narrow, wire + 2 * i, sizeof narrow);
      values[i] = Widen(narrow);
    }
    return;
  }
  float scale;
  std::memcpy(&scale, wire, sizeof scale);
  const int8_t* const in = reinterpret_cast<const int8_t*>(wire + sizeof scale);
  for (int64_t i = 0; i < count; i++) values[i] = scale * static_cast<float>(in[i]);
}

// Calls `work(first value, number of values, first byte)` for each block of `count` values.
template <typename Work>
void EachBlock(SumForm form, int64_t count, Work work) {
  int64_t byte = 0;
  for (int64_t at = 0; at < count; at += kBlock) {
    const int64_t length = std::min(kBlock, count - at);
    work(at, length, byte);
    byte += BlockBytes(form, length);
  }
}

}  // namespace

int64_t BytesInTransit(SumForm form, int64_t count) {
  if (form == SumForm::kFloat32) return 4 * count;
  const int64_t rest = count % kBlock;
  return count / kBlock * BlockBytes(form, kBlock) + (rest > 0 ? BlockBytes(form, rest) : 0);
}

std::unique_ptr<Exchange> NarrowSum::Next(std::string* problem) {
  if (state_ == kScattered) return SumShare(problem);
  if (state_ == kSummed) StoreSum();
  return at_ < count_ ? Scatter(problem) : nullptr;
}

int64_t NarrowSum::CountOf(int rank) const { return std::clamp(length_ - rank * share_, int64_t{0}, share_); }

std::unique_ptr<Exchange> NarrowSum::Scatter(std::string* problem) {
  length_ = std::min(kPart, count_ - at_);
  share_ = (length_ + mpi_->size() - 1) / mpi_->size();
  bytes_ = BytesInTransit(form_, share_);
  wire_.assign(static_cast<size_t>(bytes_ * mpi_->size()), 0);
  received_.resize(wire_.size());
  for (int rank = 0; rank < mpi_->size(); rank++) {
    const int64_t first = at_ + rank * share_;
    uint8_t* const wire = wire_.data() + rank * bytes_;
    EachBlock(form_, CountOf(rank), [&](int64_t at, int64_t length, int64_t byte) {
      float* const values = data_ + first + at;
      if (residual_ == nullptr) return Write(form_, values, length, wire + byte);
      float* const residual = residual_ + first + at;
      float decoded[kBlock];
      for (int64_t i = 0; i < length; i++) values[i] += residual[i];
      Write(form_, values, length, wire + byte);
      Read(form_, wire + byte, length, decoded);
      for (int64_t i = 0; i < length; i++) residual[i] = values[i] - decoded[i];
    });
  }
  state_ = kScattered;
  return mpi_->AllToAll(wire_.data(), received_.data(), static_cast<int>(bytes_), problem);
}

std::unique_ptr<Exchange> NarrowSum::SumShare(std::string* problem) {
  const int own = mpi_->rank();
  uint8_t* const wire = wire_.data() + own * bytes_;
  EachBlock(form_, CountOf(own), [&](int64_t at, int64_t length, int64_t byte) {
    float sum[kBlock] = {}, decoded[kBlock];
    for (int rank = 0; rank < mpi_->size(); rank++) {
      Read(form_, received_.data() + rank * bytes_ + byte, length, decoded);
      for (int64_t i = 0; i < length; i++) sum[i] += decoded[i];
    }
    Write(form_, sum, length, wire + byte);
    if (residual_ == nullptr) return;
    Read(form_, wire + byte, length, decoded);
    float* const residual = residual_ + at_ + own * share_ + at;
    for (int64_t i = 0; i < length; i++) residual[i] += sum[i] - decoded[i];
  });
  state_ = kSummed;
  return mpi_->Complete(wire_.data(), static_cast<int>(bytes_), problem);
}

void NarrowSum::StoreSum() {
  for (int rank = 0; rank < mpi_->size(); rank++)
    EachBlock(form_, CountOf(rank), [&](int64_t at, int64_t length, int64_t byte) {
      Read(form_, wire_.data() + rank * bytes_ + byte, length, data_ + at_ + rank * share_ + at);
    });
  at_ += length_;
  state_ = kIdle;
  if (at_ < count_) return;
  // A finished sum that is not waited for yet releases its buffers.
  wire_ = {};
  received_ = {};
}
