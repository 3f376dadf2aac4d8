#include "narrow-sum.h"

#include <algorithm>
#include <cstring>

namespace {

// The numbers that are on their way at a time: with what is received, 64 MB.
constexpr int64_t kPart = int64_t{1} << 24;

// To the nearest, and to the even one of two that are equally near.
uint16_t Narrow(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<uint16_t>(bits >> 16 | 0x40);  // not a number, and quiet
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float Widen(uint16_t narrow) {
  const uint32_t bits = uint32_t{narrow} << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace

std::unique_ptr<Exchange> NarrowSum::Next(std::string* problem) {
  if (state_ == kGiven) return AddUp(problem);
  if (state_ == kAdded) Take();
  return at_ < count_ ? Give(problem) : nullptr;
}

std::unique_ptr<Exchange> NarrowSum::Give(std::string* problem) {
  length_ = std::min(kPart, count_ - at_);
  share_ = (length_ + mpi_->size() - 1) / mpi_->size();
  wire_.assign(static_cast<size_t>(share_ * mpi_->size()), 0);
  received_.resize(wire_.size());
  for (int64_t i = 0; i < length_; i++) wire_[i] = Narrow(data_[at_ + i]);
  state_ = kGiven;
  return mpi_->AllToAll(wire_.data(), received_.data(), static_cast<int>(2 * share_), problem);
}

std::unique_ptr<Exchange> NarrowSum::AddUp(std::string* problem) {
  uint16_t* const own = wire_.data() + mpi_->rank() * share_;
  for (int64_t i = 0; i < share_; i++) {
    float sum = 0;
    for (int rank = 0; rank < mpi_->size(); rank++) sum += Widen(received_[rank * share_ + i]);
    own[i] = Narrow(sum);
  }
  state_ = kAdded;
  return mpi_->Complete(wire_.data(), static_cast<int>(2 * share_), problem);
}

void NarrowSum::Take() {
  for (int64_t i = 0; i < length_; i++) data_[at_ + i] = Widen(wire_[i]);
  at_ += length_;
  state_ = kIdle;
}
