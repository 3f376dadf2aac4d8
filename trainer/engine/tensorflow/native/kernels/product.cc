#include "product.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "thread-pool.h"
#include "vector-math.h"

// After Goto & van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008: a tile of c stays in vector registers, a panel of b
// is packed in the order in which it is read. Elements of a are broadcast from their original place: their cache lines stay in L1.
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16, kTall = 14;
#elif defined(__AVX2__) && defined(__FMA__)
constexpr int kLanes = 8, kTall = 6;
#else
constexpr int kLanes = 4, kTall = 6;
#endif
constexpr int kWide = 2 * kLanes;
// If rows of a are a multiple of this many bytes apart, they share the few lines of one L1 cache set, so a tile is limited to as many rows
// as the set has lines.
constexpr int64_t kSetBytes = 4096;
constexpr int kTallInOneSet = std::min(8, kTall);
// Depth of k and number of panels per block: a tile's rows of a stay in L1, the packed panels in L2.
constexpr int64_t kDeep = 384;
constexpr int64_t kPanels = 16;
// Pieces per thread: a thread that is late processes fewer.
constexpr int64_t kPieces = 4;
// Packing b takes as long as multiplying it by this many rows.
constexpr int64_t kFewRows = 3 * kTall;
// Number of elements of a that fit in L2 along with the panels.
constexpr int64_t kCached = 250000;
// Minimum number of rows that makes packing the other matrix again worthwhile.
constexpr int64_t kRowsApart = 128;
// A product with fewer multiplications is finished before another thread has woken up.
constexpr int64_t kSmall = 500000;
// Rows of bfloat16 results that are summed in float32 before they are rounded.
constexpr int64_t kRowsOfSums = 1024;

typedef float Vector __attribute__((vector_size(4 * kLanes), aligned(4)));
typedef int32_t Order __attribute__((vector_size(4 * kLanes)));
typedef uint32_t Words __attribute__((vector_size(4 * kLanes)));
typedef uint16_t Halves __attribute__((vector_size(2 * kLanes), aligned(2)));

Vector LoadVector(const float* from) { return *reinterpret_cast<const Vector*>(from); }
Vector LoadVector(const uint16_t* from) {
  return reinterpret_cast<Vector>(__builtin_convertvector(*reinterpret_cast<const Halves*>(from), Words) << 16);
}
float Widened(float value) { return value; }
float Widened(uint16_t bits) { return FromBfloat16(bits); }
void StoreVector(float* to, Vector value) { *reinterpret_cast<Vector*>(to) = value; }

// float32, or the bits of bfloat16.
template <class Element>
struct RowsOf {
  const Element* at;
  // Stride from one row to the next, and from one element of a row to the next.
  int64_t row, element;
};
using Rows = RowsOf<float>;

struct Target {
  float* at;
  int64_t row;
  // Number of existing columns; the panel's other columns are computed and discarded.
  int64_t columns;
  // True to add to the values from earlier parts of k.
  bool adds;
};

// Columns of b for consecutive k, `stride` apart.
struct Panel {
  const float* at;
  int64_t stride;
};

// How a tile reads a and b: elements of a contiguous along k, or rows of a adjacent for each k; the last also reads b unpacked.
enum class Reading { kAlong, kAcross, kAcrossUnpacked };

// Computes a tile of `kRows` rows and `kVectors` vectors of columns.
template <int kRows, int kVectors, Reading kReading>
void Tile(const Rows& a, const Panel& b, int64_t depth, const Target& c) {
  const int64_t row = kReading == Reading::kAlong ? a.row : 1, element = kReading == Reading::kAlong ? 1 : a.element;
  const int64_t stride = kReading == Reading::kAcrossUnpacked ? b.stride : kVectors * kLanes;
  Vector sum[kRows][kVectors] = {};
  const float *at = a.at, *line = b.at;
  for (int64_t k = 0; k < depth; k++, at += element, line += stride) {
    Vector columns[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; v++) columns[v] = LoadVector(line + v * kLanes);
#pragma GCC unroll 14
    for (int i = 0; i < kRows; i++)
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; v++) sum[i][v] += at[i * row] * columns[v];
  }
  if (c.columns == kVectors * kLanes) {
#pragma GCC unroll 14
    for (int i = 0; i < kRows; i++)
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; v++) {
        float* to = c.at + i * c.row + v * kLanes;
        StoreVector(to, c.adds ? LoadVector(to) + sum[i][v] : sum[i][v]);
      }
    return;
  }
  for (int i = 0; i < kRows; i++) {
    float sums[kVectors * kLanes];
    std::memcpy(sums, sum[i], sizeof sums);
    float* to = c.at + i * c.row;
    for (int64_t n = 0; n < c.columns; n++) to[n] = c.adds ? to[n] + sums[n] : sums[n];
  }
}

using TileFunction = void (*)(const Rows&, const Panel&, int64_t, const Target&);

template <int kVectors, Reading kReading, int... kRows>
TileFunction PickTile(int64_t rows, std::integer_sequence<int, kRows...>) {
  static constexpr TileFunction tiles[] = {Tile<kRows + 1, kVectors, kReading>...};
  return tiles[rows - 1];
}

template <int kVectors>
TileFunction PickTile(int64_t rows, Reading reading) {
  constexpr auto heights = std::make_integer_sequence<int, kTall>();
  switch (reading) {
    case Reading::kAlong: return PickTile<kVectors, Reading::kAlong>(rows, heights);
    case Reading::kAcross: return PickTile<kVectors, Reading::kAcross>(rows, heights);
    default: return PickTile<kVectors, Reading::kAcrossUnpacked>(rows, heights);
  }
}

#if defined(__clang__) || !defined(__GNUC__)
template <class Element>
void TransposeBlock(const Element* from, int64_t stride, float* to, int64_t to_stride) {
  for (int i = 0; i < kLanes; i++)
    for (int k = 0; k < kLanes; k++) to[k * to_stride + i] = Widened(from[i * stride + k]);
}
#else
// Transposes in log2(lanes) rounds that interleave each line of the upper half with its counterpart in the lower half.
template <class Element>
void TransposeBlock(const Element* from, int64_t stride, float* to, int64_t to_stride) {
  Order low, high;
  for (int i = 0; i < kLanes; i++) {
    low[i] = i / 2 + (i % 2) * kLanes;
    high[i] = low[i] + kLanes / 2;
  }
  Vector lines[kLanes], next[kLanes];
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; i++) lines[i] = LoadVector(from + i * stride);
#pragma GCC unroll 4
  for (int round = 1; round < kLanes; round *= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < kLanes / 2; i++) {
      next[2 * i] = __builtin_shuffle(lines[i], lines[i + kLanes / 2], low);
      next[2 * i + 1] = __builtin_shuffle(lines[i], lines[i + kLanes / 2], high);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; i++) lines[i] = next[i];
  }
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; i++) StoreVector(to + i * to_stride, lines[i]);
}
#endif

int64_t DivideUp(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Prefetch distance for packing: weights come from beyond the caches, because a step reads more of them than any cache holds.
constexpr int64_t kRowsAhead = 16;

// Padding between panels, so that they are in different cache sets, since all are written at the same time.
constexpr int64_t kApart = 80;
int64_t PanelWidth(int64_t columns) { return columns <= kLanes ? kLanes : kWide; }
int64_t PanelSpacing(int64_t width, int64_t depth) { return width * depth + kApart; }

// Packs columns of b into panels: for each k, `width` adjacent columns, with zeros for missing ones. The "rows" of b are its columns here:
// `row` is the stride from one to the next, `element` the stride along k. Elements of bfloat16 are widened.
template <class Element>
void PackPanels(const RowsOf<Element>& b, int64_t depth, int64_t columns, int64_t width, float* to) {
  const int64_t whole = columns / width * width, spacing = PanelSpacing(width, depth);
  if (b.row == 1) {
    for (int64_t k = 0; k < depth; k++) {
      const Element* from = b.at + k * b.element;
      float* panel = to + k * width;
      for (int64_t n = 0; n < whole; n += width, panel += spacing)
        for (int64_t i = 0; i < width; i += kLanes) {
          __builtin_prefetch(from + kRowsAhead * b.element + n + i);
          StoreVector(panel + i, LoadVector(from + n + i));
        }
    }
  } else {
    const int64_t blocks = depth / kLanes * kLanes;
    for (int64_t n = 0; n < whole; n += kLanes) {
      const Element* from = b.at + n * b.row;
      float* panel = to + n / width * spacing + n % width;
      for (int64_t k = 0; k < blocks; k += kLanes) {
        for (int64_t i = 0; i < kLanes; i++) __builtin_prefetch(from + (kLanes + i) * b.row + k);
        TransposeBlock(from + k, b.row, panel + k * width, width);
      }
      for (int64_t k = blocks; k < depth; k++)
        for (int64_t i = 0; i < kLanes; i++) panel[k * width + i] = Widened(from[i * b.row + k]);
    }
  }
  for (int64_t k = 0; whole < columns && k < depth; k++)
    for (int64_t n = 0; n < width; n++)
      to[whole / width * spacing + k * width + n] = whole + n < columns ? Widened(b.at[(whole + n) * b.row + k * b.element]) : 0.f;
}

// Writes `height` rows of a, widened, one after the other.
void WidenRows(const RowsOf<uint16_t>& a, int64_t height, int64_t depth, float* to) {
  if (a.element == 1) {
    for (int64_t i = 0; i < height; i++)
      for (int64_t k = 0; k < depth; k++) to[i * depth + k] = FromBfloat16(a.at[i * a.row + k]);
    return;
  }
  for (int64_t k = 0; k < depth; k++)
    for (int64_t i = 0; i < height; i++) to[i * depth + k] = FromBfloat16(a.at[i * a.row + k * a.element]);
}

// Divides `whole` into the fewest parts of at most `most`, and returns their nearly equal size, a multiple of `unit`.
int64_t EvenPart(int64_t whole, int64_t most, int64_t unit) { return DivideUp(DivideUp(whole, DivideUp(whole, most)), unit) * unit; }

float* OwnPanels() {
  struct Panels {
    alignas(64) float elements[kPanels * (kWide * kDeep + kApart)];
  };
  static thread_local const auto panels = std::make_unique<Panels>();
  return panels->elements;
}

// The widened rows of a tile, and the sums of a piece, of bfloat16 matrices.
struct Widening {
  alignas(64) float rows[kTall * kDeep];
  std::vector<float> sums;
};

Widening& OwnWidening() {
  static thread_local const auto widening = std::make_unique<Widening>();
  return *widening;
}

struct Part {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

// Computes a range of rows and columns of one product of the batch. Products of bfloat16 are summed in float32 and rounded once.
template <class Element>
void RunPiece(const Product& product, const Element* a, const Element* b, Element* c, Part rows, Part columns) {
  constexpr bool is_narrow = std::is_same_v<Element, uint16_t>;
  const RowsOf<Element> ra = product.transpose_a ? RowsOf<Element>{a, 1, product.m} : RowsOf<Element>{a, product.k, 1};
  const RowsOf<Element> rb = product.transpose_b ? RowsOf<Element>{b, product.k, 1} : RowsOf<Element>{b, 1, product.n};
  const bool in_one_set = !is_narrow && !product.transpose_a && ra.row * 4 % kSetBytes == 0;
  const int64_t tall = in_one_set ? kTallInOneSet : kTall;
  const int64_t width = PanelWidth(product.n);
  const int64_t deep = EvenPart(product.k, kDeep, kLanes);
  // With few rows, multiplying is faster than packing the columns first.
  const bool packs = is_narrow || !product.transpose_a || product.transpose_b || rows.size() > kFewRows || columns.size() % width != 0;
  const Reading reading = is_narrow || !product.transpose_a ? Reading::kAlong : packs ? Reading::kAcross : Reading::kAcrossUnpacked;
  float* panels = OwnPanels();
  Target target{nullptr, product.n, 0, false};
  if constexpr (is_narrow) {
    auto& sums = OwnWidening().sums;
    if (sums.size() < static_cast<size_t>(rows.size() * columns.size())) sums.resize(static_cast<size_t>(rows.size() * columns.size()));
    target = {sums.data(), columns.size(), 0, false};
  } else {
    target.at = c + rows.begin * product.n + columns.begin;
  }
  const auto panel_at = [&](int64_t n, int64_t k, int64_t depth) {
    if constexpr (!is_narrow)
      if (!packs) return Panel{rb.at + n + k * rb.element, rb.element};
    return Panel{panels + (n - columns.begin) / width * PanelSpacing(width, depth), width};
  };
  for (int64_t k = 0; k < product.k; k += deep) {
    const int64_t depth = std::min(deep, product.k - k);
    if (packs)
      PackPanels(RowsOf<Element>{rb.at + columns.begin * rb.row + k * rb.element, rb.row, rb.element}, depth, columns.size(), width, panels);
    for (int64_t m = rows.begin; m < rows.end;) {
      const int64_t height = std::min(tall, rows.end - m);
      const TileFunction tile = width == kLanes ? PickTile<1>(height, reading) : PickTile<2>(height, reading);
      const RowsOf<Element> own{ra.at + m * ra.row + k * ra.element, ra.row, ra.element};
      Rows tile_rows{};
      if constexpr (is_narrow) {
        float* wide = OwnWidening().rows;
        WidenRows(own, height, depth, wide);
        tile_rows = {wide, depth, 1};
      } else {
        tile_rows = own;
      }
      float* to = target.at + (m - rows.begin) * target.row;
      for (int64_t n = columns.begin; n < columns.end; n += width)
        tile(tile_rows, panel_at(n, k, depth), depth, {to + n - columns.begin, target.row, std::min(width, columns.end - n), k > 0});
      m += height;
    }
  }
  if constexpr (is_narrow)
    for (int64_t m = rows.begin; m < rows.end; m++)
      ToBfloat16s(target.at + (m - rows.begin) * target.row, c + m * product.n + columns.begin, columns.size());
}

template <class Element>
void RunAll(const Product& product, const Element* a, const Element* b, Element* c) {
  const auto& [batch, m, n, k, transpose_a, transpose_b] = product;
  if (batch * m * n == 0) return;
  if (k == 0) {
    std::fill_n(c, batch * m * n, Element{0});
    return;
  }
  ThreadPool& pool = SharedPool();
  const int64_t width = PanelWidth(n);
  const bool is_small = batch * m * n * k < kSmall;
  const int64_t threads = is_small ? 1 : pool.threads();
  // Each thread gets a part of the rows, if there are enough, so that it finds its own results in its cache; columns are shared only at the
  // end.
  const int64_t down = std::clamp<int64_t>(m / kRowsApart, 1, DivideUp(threads, batch));
  const int64_t most = std::is_same_v<Element, uint16_t> ? kRowsOfSums : m;
  const int64_t rows = EvenPart(m, std::min(DivideUp(m, down), most), 1);
  const int64_t panels = DivideUp(n, width);
  // Rows that do not fit in a cache are read once by each piece.
  const int64_t wanted = threads * (rows * k > kCached ? 1 : kPieces);
  const int64_t across = DivideUp(panels, std::clamp<int64_t>(batch * down * panels / wanted, 1, kPanels));
  const int64_t columns = DivideUp(panels, across) * width;
  const int64_t pieces_across = DivideUp(n, columns), pieces_down = DivideUp(m, rows), pieces = pieces_across * pieces_down;
  pool.Run(batch * pieces, is_small ? batch * pieces : 1, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; at++) {
      const int64_t one = at / pieces, row = at % pieces / pieces_across * rows, column = at % pieces_across * columns;
      RunPiece(product, a + one * m * k, b + one * k * n, c + one * m * n, {row, std::min(row + rows, m)}, {column, std::min(column + columns, n)});
    }
  });
}

}  // namespace

bool HasProducts() {
#if defined(__AVX512F__) || (defined(__AVX2__) && defined(__FMA__))
  return true;
#else
  return false;
#endif
}

void RunProduct(const Product& product, const float* a, const float* b, float* c) { RunAll(product, a, b, c); }
void RunProduct(const Product& product, const uint16_t* a, const uint16_t* b, uint16_t* c) { RunAll(product, a, b, c); }

// A piece with this many multiplications keeps a thread busy for longer than handing it over takes.
constexpr int64_t kWorthSharing = 2000000;

void RunProducts(const std::vector<SomeProduct>& products, bool transpose_a, bool transpose_b) {
  ThreadPool& pool = SharedPool();
  int64_t total = 0;
  for (const auto& [m, n, k, a, b, c] : products) total += m * n * k;
  const int64_t aim = std::max(kWorthSharing, total / (pool.threads() * kPieces));
  struct Piece {
    const SomeProduct* product;
    Part columns;
  };
  std::vector<Piece> pieces;
  for (const SomeProduct& product : products) {
    const auto& [m, n, k, a, b, c] = product;
    if (m * n == 0) continue;
    if (k == 0) {
      std::fill_n(c, m * n, 0.f);
      continue;
    }
    const int64_t width = PanelWidth(n), most = std::min(kPanels, DivideUp(aim, m * k * width));
    const int64_t columns = EvenPart(n, most * width, width);
    for (int64_t begin = 0; begin < n; begin += columns) pieces.push_back({&product, {begin, std::min(begin + columns, n)}});
  }
  pool.Run(static_cast<int64_t>(pieces.size()), total < kSmall ? static_cast<int64_t>(pieces.size()) : 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      const auto& [product, columns] = pieces[i];
      const auto& [m, n, k, a, b, c] = *product;
      RunPiece({1, m, n, k, transpose_a, transpose_b}, a, b, c, {0, m}, columns);
    }
  });
}
