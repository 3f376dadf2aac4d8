// Sums in a narrow form over several ranks in one process, and prints what narrow-sum.test.ts compares with the laws of the form.
// Arguments: number of the form, ranks, elements, rounds, and 1 to keep rounding errors.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "narrow-sum.h"

namespace {

struct Over final : Exchange {
  bool Test(std::string*) override { return true; }
};

// Stores what a rank exchanges until all ranks have called it.
struct FakeMpi final : MpiLibrary {
  FakeMpi(int own, int count) : own(own), count(count) {}
  int rank() const override { return own; }
  int size() const override { return count; }
  std::unique_ptr<Exchange> AllReduce(float*, int, std::string*) override { abort(); }
  std::unique_ptr<Exchange> AllGather(const void*, void*, int, std::string*) override { abort(); }
  std::unique_ptr<Exchange> AllToAll(const void* source, void* target, int length, std::string*) override {
    from = static_cast<const char*>(source), to = static_cast<char*>(target), bytes = length;
    return std::make_unique<Over>();
  }
  std::unique_ptr<Exchange> Complete(void* all, int length, std::string*) override {
    from = nullptr, to = static_cast<char*>(all), bytes = length;
    return std::make_unique<Over>();
  }
  void Finalize() override {}
  const int own, count;
  const char* from = nullptr;
  char* to = nullptr;
  int bytes = 0;
};

void Transfer(std::vector<FakeMpi>& mpi) {
  for (FakeMpi& target : mpi)
    for (FakeMpi& source : mpi) {
      const char* const data = source.from != nullptr ? source.from + target.own * source.bytes : source.to + source.own * source.bytes;
      if (source.from != nullptr || source.own != target.own) std::memcpy(target.to + source.own * source.bytes, data, source.bytes);
    }
}

}  // namespace

int main(int, char** arguments) {
  const SumForm form = static_cast<SumForm>(std::atoi(arguments[1]));
  const int ranks = std::atoi(arguments[2]), count = std::atoi(arguments[3]), rounds = std::atoi(arguments[4]);
  const bool keeps = std::atoi(arguments[5]) != 0;
  std::vector<FakeMpi> mpi;
  for (int rank = 0; rank < ranks; rank++) mpi.emplace_back(rank, ranks);
  std::vector<std::vector<float>> data(ranks, std::vector<float>(count)), residuals = data;
  std::vector<double> given(count), applied(count);
  double size = 0;
  int differing = 0;
  std::srand(7);
  for (int round = 0; round < rounds; round++) {
    for (auto& values : data)
      for (int i = 0; i < count; i++) {
        // Blocks of very different sizes, and some zeros.
        values[i] = i % 5 == 0 ? 0 : static_cast<float>((std::rand() / double{RAND_MAX} - 0.5) * (1 + i / 128 * 1000));
        given[i] += values[i];
        size = std::max(size, std::abs(given[i]));
      }
    std::vector<std::unique_ptr<NarrowSum>> sums;
    for (int rank = 0; rank < ranks; rank++)
      sums.push_back(std::make_unique<NarrowSum>(&mpi[rank], form, data[rank].data(), count, keeps ? residuals[rank].data() : nullptr));
    for (bool over = false; !over;) {
      std::string problem;
      for (auto& sum : sums) over = sum->Next(&problem) == nullptr;
      if (!over) Transfer(mpi);
    }
    for (const auto& values : data) differing += std::memcmp(values.data(), data[0].data(), sizeof(float) * count) != 0;
    for (int i = 0; i < count; i++) applied[i] += data[0][i];
  }
  // Compares what was applied plus what is kept, and what was applied alone, with what was given.
  double kept = 0, plain = 0;
  for (int i = 0; i < count; i++) {
    double total = applied[i];
    for (const auto& values : residuals) total += values[i];
    kept = std::max(kept, std::abs(total - given[i]));
    plain = std::max(plain, std::abs(applied[i] - given[i]));
  }
  std::printf("{\"differing\": %d, \"kept\": %.3g, \"plain\": %.3g, \"bytes\": %lld}\n", differing, kept / size, plain / size,
              static_cast<long long>(BytesInTransit(form, count)));
}
