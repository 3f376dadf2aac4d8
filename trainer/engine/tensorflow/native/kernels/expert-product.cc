#include "expert-product.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>
#include <vector>

#include "product.h"
#include "thread-pool.h"

// Rows are gathered by expert, so that each expert's rows form one matrix; the threads then share all products at once, because the few
// rows of one expert would keep none of them busy.
namespace {

using Floats = std::unique_ptr<float[]>;
Floats Uninitialized(int64_t count) { return Floats(new float[static_cast<size_t>(std::max<int64_t>(count, 1))]); }

// The items of each owner, in their original order.
struct Grouped {
  std::vector<int64_t> begin;
  std::vector<int64_t> order;
  int64_t size(int64_t owner) const { return begin[owner + 1] - begin[owner]; }
};

// Returns an empty `begin` if an owner is out of range.
template <typename OwnerOf>
Grouped Group(int64_t count, int64_t owners, const OwnerOf& owner_of) {
  std::vector<int64_t> begin(static_cast<size_t>(owners) + 1, 0), order(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; i++) {
    const int64_t owner = owner_of(i);
    if (owner < 0 || owner >= owners) return {};
    begin[owner + 1]++;
  }
  std::partial_sum(begin.begin(), begin.end(), begin.begin());
  std::vector<int64_t> next(begin.begin(), begin.end() - 1);
  for (int64_t i = 0; i < count; i++) order[next[owner_of(i)]++] = i;
  return {std::move(begin), std::move(order)};
}

Grouped ByExpert(const Assignments& assignments) {
  return Group(assignments.count, assignments.experts, [&](int64_t t) { return static_cast<int64_t>(assignments.ids[t]); });
}

// Number of rows that a thread copies at a time.
constexpr int64_t kCopied = 32;

// Returns the rows that the assignments read, expert by expert.
Floats GatherRows(const Grouped& by_expert, const Matrix& from) {
  const int64_t count = static_cast<int64_t>(by_expert.order.size()), repeats = count / std::max<int64_t>(from.rows, 1);
  Floats to = Uninitialized(count * from.columns);
  SharedPool().Run(count, kCopied, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++)
      std::memcpy(to.get() + i * from.columns, from.at + by_expert.order[i] / repeats * from.columns, sizeof(float) * from.columns);
  });
  return to;
}

void ScatterRows(const std::vector<int64_t>& order, const float* from, int64_t columns, float* to) {
  SharedPool().Run(static_cast<int64_t>(order.size()), kCopied, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) std::memcpy(to + order[i] * columns, from + i * columns, sizeof(float) * columns);
  });
}

}  // namespace

bool RunExpertProduct(const Assignments& assignments, const Matrix& x, const Matrix& stack, bool transposed, float* y) {
  const Grouped by_expert = ByExpert(assignments);
  if (by_expert.begin.empty()) return false;
  const int64_t out = stack.rows / assignments.experts, width = transposed ? stack.columns : out;
  const Floats rows = GatherRows(by_expert, x), products = Uninitialized(assignments.count * width);
  std::vector<SomeProduct> all;
  for (int64_t e = 0; e < assignments.experts; e++)
    if (by_expert.size(e) > 0)
      all.push_back({by_expert.size(e), width, x.columns, rows.get() + by_expert.begin[e] * x.columns, stack.at + e * out * stack.columns,
                     products.get() + by_expert.begin[e] * width});
  RunProducts(all, false, !transposed);
  ScatterRows(by_expert.order, products.get(), width, y);
  return true;
}

bool RunExpertGradient(const Assignments& assignments, const Matrix& a, const Matrix& b, const int32_t* rows, int64_t count, float* c) {
  const int64_t experts = assignments.experts, out = a.columns;
  const Grouped by_expert = ByExpert(assignments);
  if (by_expert.begin.empty()) return false;
  const Floats right = GatherRows(by_expert, b);
  if (rows == nullptr) {
    const Floats left = GatherRows(by_expert, a);
    std::vector<SomeProduct> all;
    for (int64_t e = 0; e < experts; e++)
      all.push_back({out, b.columns, by_expert.size(e), left.get() + by_expert.begin[e] * out, right.get() + by_expert.begin[e] * b.columns,
                     c + e * out * b.columns});
    RunProducts(all, true, false);
    return true;
  }
  const Grouped chosen = Group(count, experts, [&](int64_t i) { return rows[i] < 0 ? int64_t{-1} : rows[i] / out; });
  if (chosen.begin.empty()) return false;
  std::vector<int64_t> begin(static_cast<size_t>(experts) + 1, 0);
  for (int64_t e = 0; e < experts; e++) begin[e + 1] = begin[e] + by_expert.size(e) * chosen.size(e);
  // The requested columns of the rows of a that each expert reads.
  const Floats left = Uninitialized(begin[experts]);
  const int64_t repeats = assignments.count / std::max<int64_t>(a.rows, 1);
  SharedPool().Run(experts, 1, [&](int64_t first, int64_t last) {
    for (int64_t e = first; e < last; e++) {
      float* to = left.get() + begin[e];
      for (int64_t i = by_expert.begin[e]; i < by_expert.begin[e + 1]; i++) {
        const float* from = a.at + by_expert.order[i] / repeats * out;
        for (int64_t j = chosen.begin[e]; j < chosen.begin[e + 1]; j++) *to++ = from[rows[chosen.order[j]] % out];
      }
    }
  });
  const bool in_order = std::is_sorted(chosen.order.begin(), chosen.order.end());
  const Floats apart = in_order ? Floats() : Uninitialized(count * b.columns);
  float* products = in_order ? c : apart.get();
  std::vector<SomeProduct> all;
  for (int64_t e = 0; e < experts; e++)
    all.push_back({chosen.size(e), b.columns, by_expert.size(e), left.get() + begin[e], right.get() + by_expert.begin[e] * b.columns,
                   products + chosen.begin[e] * b.columns});
  RunProducts(all, true, false);
  if (!in_order) ScatterRows(chosen.order, products, b.columns, c);
  return true;
}
