#include "sum-over-ranks.h"

#include <functional>
#include <numeric>

namespace pjrt {
namespace {

// Equal to absl::StatusCode::kInternal.
constexpr int kExchangeFailed = 13;
// PJRT_Buffer_Type_F32.
constexpr int kFloat32 = 11;

using Numbers = std::shared_ptr<float[]>;

}  // namespace

std::vector<std::shared_ptr<Buffer>> SumOverRanks(const std::shared_ptr<Client>& client, std::vector<RankSum> sums) {
  std::vector<Numbers> on_host;
  for (RankSum& sum : sums) {
    const int64_t count = std::accumulate(sum.shape.begin(), sum.shape.end(), int64_t{1}, std::multiplies<int64_t>());
    const Numbers numbers(new float[static_cast<size_t>(count)]);
    sum.buffer->ToHost(numbers.get(), sizeof(float) * static_cast<size_t>(count));
    sum.buffer.reset();
    on_host.push_back(numbers);
    // The exchange also owns the values: a failed one may still write after nobody waits for it.
    BeginSum(numbers.get(), count, sum.form, sum.residual, new Numbers(numbers), [](void* held) { delete static_cast<Numbers*>(held); });
  }
  std::vector<std::shared_ptr<Buffer>> summed;
  for (size_t i = 0; i < sums.size(); i++) {
    const std::string problem = EndSum(on_host[i].get());
    if (!problem.empty()) throw Failure("the sum over the ranks failed: " + problem, kExchangeFailed);
    summed.push_back(Upload(client, on_host[i].get(), kFloat32, sums[i].shape));
    on_host[i].reset();
  }
  return summed;
}

}  // namespace pjrt
