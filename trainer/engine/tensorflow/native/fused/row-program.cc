#include "row-program.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <type_traits>

#include "../kernels/thread-pool.h"
#include "../kernels/vector-math.h"

namespace {

// An instruction works on about 4 KB at a time, so that all registers of a program stay in the L1 cache.
constexpr int64_t kTileElements = 1024;
// A smaller piece is finished before another thread has woken up.
constexpr int64_t kPieceElements = 16384;

struct Tile {
  int64_t row, rows, column, columns;
  int64_t elements() const { return rows * columns; }
};

// The registers of one thread.
class Registers {
 public:
  Registers(const RowProgram& program, int64_t tile_rows, int64_t tile_columns) : kinds(program.registers) {
    std::vector<int64_t> begins;
    int64_t total = 0;
    for (Kind kind : kinds) {
      begins.push_back(total);
      const int64_t size = kind == Kind::kFull ? tile_rows * tile_columns : kind == Kind::kRow ? tile_rows : 1;
      total += (size + 15) / 16 * 16;
    }
    memory_.reset(static_cast<float*>(std::aligned_alloc(64, static_cast<size_t>(total) * 4 + 64)));
    for (int64_t begin : begins) own.push_back(memory_.get() + begin);
    target = own;
    for (float* each : own) value.push_back(each);
  }

  const std::vector<Kind>& kinds;
  // Each register's own memory, the memory that instructions write to (possibly an output's), and the memory its value is read from.
  std::vector<float*> own, target;
  std::vector<const float*> value;

 private:
  struct Free {
    void operator()(float* memory) const { std::free(memory); }
  };
  std::unique_ptr<float, Free> memory_;
};

// Calls each(row in the tile, offset, inside its windows) for the rows of a tile.
template <class Each>
void EachRow(const RowProgram& program, const Access& access, const Tile& tile, Each each) {
  const auto& lead = program.lead;
  if (access.windows.empty() && lead.size() <= 1) {
    const int64_t stride = lead.empty() ? 0 : access.lead[0];
    for (int64_t i = 0; i < tile.rows; i++) each(i, access.offset + (tile.row + i) * stride, true);
    return;
  }
  int64_t at[kMaxLeadAxes];
  int64_t rest = tile.row;
  int64_t offset = access.offset;
  for (size_t axis = lead.size(); axis-- > 0;) {
    at[axis] = rest % lead[axis];
    rest /= lead[axis];
    offset += at[axis] * access.lead[axis];
  }
  for (int64_t i = 0; i < tile.rows; i++) {
    bool inside = true;
    for (const Window& window : access.windows) inside = inside && at[window.axis] >= window.low && at[window.axis] < window.high;
    each(i, offset, inside);
    for (size_t axis = lead.size(); axis-- > 0;) {
      offset += access.lead[axis];
      if (++at[axis] < lead[axis]) break;
      offset -= access.lead[axis] * lead[axis];
      at[axis] = 0;
    }
  }
}

template <class From>
float Widen(From value) {
  if constexpr (std::is_same_v<From, uint16_t>) return FromBfloat16(value);
  else return static_cast<float>(value);
}

// Elements of different types never share memory, which the compiler cannot know: a byte may alias anything.
template <class From>
void WidenRow(const From* __restrict from, int64_t stride, float* __restrict to, int64_t count) {
  if (stride == 1)
    for (int64_t i = 0; i < count; i++) to[i] = Widen(from[i]);
  else
    for (int64_t i = 0; i < count; i++) to[i] = Widen(from[i * stride]);
}

template <class From>
void LoadAs(const RowProgram& program, const Access& access, const From* from, const Tile& tile, Kind kind, float* to) {
  EachRow(program, access, tile, [&](int64_t row, int64_t offset, bool inside) {
    if (kind != Kind::kFull) {
      to[row] = inside ? Widen(from[offset]) : access.fill;
      return;
    }
    float* line = to + row * tile.columns;
    if (!inside) {
      std::fill_n(line, tile.columns, access.fill);
      return;
    }
    WidenRow(from + offset + tile.column * access.column, access.column, line, tile.columns);
  });
}

template <class To>
To Narrow(float value) {
  if constexpr (std::is_same_v<To, uint16_t>) return ToBfloat16(value);
  else return static_cast<To>(value);
}

template <class To>
void NarrowRow(const float* __restrict from, To* __restrict to, int64_t stride, int64_t count) {
  if (stride != 1) {
    for (int64_t i = 0; i < count; i++) to[i * stride] = Narrow<To>(from[i]);
  } else if constexpr (std::is_same_v<To, uint16_t>) {
    ToBfloat16s(from, to, count);
  } else {
    for (int64_t i = 0; i < count; i++) to[i] = Narrow<To>(from[i]);
  }
}

template <class To>
void StoreAs(const RowProgram& program, const Access& access, const float* from, const Tile& tile, Kind kind, To* to) {
  EachRow(program, access, tile, [&](int64_t row, int64_t offset, bool) {
    if (kind != Kind::kFull) {
      const To value = Narrow<To>(from[kind == Kind::kRow ? row : 0]);
      if (access.column == 0) to[offset] = value;
      else
        for (int64_t i = 0; i < tile.columns; i++) to[offset + (tile.column + i) * access.column] = value;
      return;
    }
    NarrowRow(from + row * tile.columns, to + offset + tile.column * access.column, access.column, tile.columns);
  });
}

// Returns true if the elements of a tile are contiguous, as they are in a register.
bool IsDense(const RowProgram& program, const Access& access, const Tile& tile) {
  if (access.column != 1 || access.type != Type::kFloat32 || !access.windows.empty()) return false;
  if (tile.rows == 1) return true;
  return program.lead.size() == 1 && access.lead[0] == program.columns && tile.columns == program.columns;
}

int64_t OffsetOf(const RowProgram& program, const Access& access, const Tile& tile) {
  int64_t found = 0;
  EachRow(program, access, Tile{tile.row, 1, 0, 1}, [&](int64_t, int64_t offset, bool) { found = offset; });
  return found + tile.column * access.column;
}

void Load(const RowProgram& program, const Access& access, const Buffers& buffers, const Tile& tile, Registers& registers) {
  const Kind kind = registers.kinds[access.reg];
  const void* from = buffers.inputs[access.tensor];
  float* to = registers.own[access.reg];
  registers.value[access.reg] = to;
  const Tile one{0, 1, 0, 1};
  const Tile& part = kind == Kind::kScalar ? one : tile;
  switch (access.type) {
    case Type::kFloat32:
      if (kind == Kind::kFull && IsDense(program, access, tile))
        registers.value[access.reg] = static_cast<const float*>(from) + OffsetOf(program, access, tile);
      else
        LoadAs(program, access, static_cast<const float*>(from), part, kind, to);
      return;
    case Type::kBfloat16: return LoadAs(program, access, static_cast<const uint16_t*>(from), part, kind, to);
    case Type::kInt8: return LoadAs(program, access, static_cast<const int8_t*>(from), part, kind, to);
    case Type::kInt32: return LoadAs(program, access, static_cast<const int32_t*>(from), part, kind, to);
    default: return LoadAs(program, access, static_cast<const uint8_t*>(from), part, kind, to);
  }
}

void Store(const RowProgram& program, const Access& access, const Buffers& buffers, const Tile& tile, const Registers& registers) {
  const Kind kind = registers.kinds[access.reg];
  const float* from = registers.value[access.reg];
  void* to = buffers.outputs[access.tensor];
  switch (access.type) {
    case Type::kFloat32: {
      // An instruction may already have written the value there.
      if (kind == Kind::kFull && IsDense(program, access, tile) && from == static_cast<float*>(to) + OffsetOf(program, access, tile)) return;
      return StoreAs(program, access, from, tile, kind, static_cast<float*>(to));
    }
    case Type::kBfloat16: return StoreAs(program, access, from, tile, kind, static_cast<uint16_t*>(to));
    case Type::kInt8: return StoreAs(program, access, from, tile, kind, static_cast<int8_t*>(to));
    case Type::kInt32: return StoreAs(program, access, from, tile, kind, static_cast<int32_t*>(to));
    default: return StoreAs(program, access, from, tile, kind, static_cast<uint8_t*>(to));
  }
}

int64_t CountOf(Kind kind, const Tile& tile) { return kind == Kind::kFull ? tile.elements() : kind == Kind::kRow ? tile.rows : 1; }

template <class F>
void Map(F f, const Instruction& i, const Tile& tile, Registers& r) {
  const int64_t count = CountOf(r.kinds[i.target], tile);
  const float* a = r.value[i.a];
  float* to = r.target[i.target];
#pragma GCC ivdep
  for (int64_t n = 0; n < count; n++) to[n] = f(a[n]);
}

// Each operand has one element for each of the result's, or one per row, or one for all.
template <class F>
void Combine(F f, const Instruction& i, const Tile& tile, Registers& r) {
  const Kind kind = r.kinds[i.target], ka = r.kinds[i.a], kb = r.kinds[i.b];
  const float *a = r.value[i.a], *b = r.value[i.b];
  float* to = r.target[i.target];
  const int64_t count = CountOf(kind, tile);
  if (ka == kind && kb == kind) {
#pragma GCC ivdep
    for (int64_t n = 0; n < count; n++) to[n] = f(a[n], b[n]);
  } else if (ka == kind && kb == Kind::kScalar) {
    const float y = *b;
#pragma GCC ivdep
    for (int64_t n = 0; n < count; n++) to[n] = f(a[n], y);
  } else if (ka == Kind::kScalar && kb == kind) {
    const float x = *a;
#pragma GCC ivdep
    for (int64_t n = 0; n < count; n++) to[n] = f(x, b[n]);
  } else {
    for (int64_t row = 0; row < tile.rows; row++) {
      float* line = to + row * tile.columns;
      if (ka == Kind::kFull) {
        const float* x = a + row * tile.columns;
        const float y = b[row];
#pragma GCC ivdep
        for (int64_t n = 0; n < tile.columns; n++) line[n] = f(x[n], y);
      } else {
        const float x = ka == Kind::kRow ? a[row] : *a;
        const float* y = b + row * tile.columns;
#pragma GCC ivdep
        for (int64_t n = 0; n < tile.columns; n++) line[n] = f(x, y[n]);
      }
    }
  }
}

// Both values are read before one is selected, so that this compiles to a vector blend instead of a branch on a random mask.
template <bool kRowB, bool kRowC>
void SelectRow(const float* a, const float* b, const float* c, float* to, int64_t count) {
  const float one_b = *b, one_c = *c;
#pragma GCC ivdep
  for (int64_t n = 0; n < count; n++) {
    const float x = kRowB ? b[n] : one_b, y = kRowC ? c[n] : one_c;
    to[n] = a[n] != 0.f ? x : y;
  }
}

void Select(const Instruction& i, const Tile& tile, Registers& r) {
  const Kind kind = r.kinds[i.target];
  const int64_t rows = kind == Kind::kScalar ? 1 : tile.rows, columns = kind == Kind::kFull ? tile.columns : 1;
  const auto row_stride = [&](int32_t reg) { return r.kinds[reg] == Kind::kFull ? columns : r.kinds[reg] == Kind::kRow ? 1 : 0; };
  const bool full_a = r.kinds[i.a] == Kind::kFull, full_b = r.kinds[i.b] == Kind::kFull, full_c = r.kinds[i.c] == Kind::kFull;
  for (int64_t row = 0; row < rows; row++) {
    const float *a = r.value[i.a] + row * row_stride(i.a), *b = r.value[i.b] + row * row_stride(i.b), *c = r.value[i.c] + row * row_stride(i.c);
    float* to = r.target[i.target] + row * columns;
    if (!full_a) {
      const float* chosen = *a != 0.f ? b : c;
      const bool is_full = *a != 0.f ? full_b : full_c;
      for (int64_t n = 0; n < columns; n++) to[n] = chosen[is_full ? n : 0];
    } else if (full_b && full_c) SelectRow<true, true>(a, b, c, to, columns);
    else if (full_b) SelectRow<true, false>(a, b, c, to, columns);
    else if (full_c) SelectRow<false, true>(a, b, c, to, columns);
    else SelectRow<false, false>(a, b, c, to, columns);
  }
}

// Computes partial results in parallel lanes, then combines them: the order is the same in every run.
template <class F>
void Reduce(F f, float start, const Instruction& i, const Tile& tile, Registers& r) {
  constexpr int64_t kLanes = 64;
  float* to = r.target[i.target];
  // If all rows are equal, there is one result.
  const int64_t rows = r.kinds[i.target] == Kind::kScalar ? 1 : tile.rows;
  for (int64_t row = 0; row < rows; row++) {
    const float* x = r.value[i.a] + row * tile.columns;
    float lanes[kLanes];
    for (float& lane : lanes) lane = start;
    int64_t n = 0;
    for (; n + kLanes <= tile.columns; n += kLanes)
#pragma GCC ivdep
      for (int64_t k = 0; k < kLanes; k++) lanes[k] = f(lanes[k], x[n + k]);
    const int64_t rest = tile.columns - n;
    for (int64_t k = 0; k < kLanes && k < rest; k++) lanes[k] = f(lanes[k], x[n + k]);
    for (int64_t half = kLanes / 2; half > 0; half /= 2)
      for (int64_t k = 0; k < half; k++) lanes[k] = f(lanes[k], lanes[k + half]);
    to[row] = lanes[0];
  }
}

// As in TensorFlow: the greater of the two, and NaN if either is NaN.
[[gnu::always_inline]] inline float Maximum(float a, float b) { return a != a ? a : (b != b ? b : (a < b ? b : a)); }
[[gnu::always_inline]] inline float Minimum(float a, float b) { return a != a ? a : (b != b ? b : (b < a ? b : a)); }

void Execute(const Instruction& i, const Tile& tile, Registers& r) {
  switch (i.code) {
    case Code::kNeg: Map([](float x) { return -x; }, i, tile, r); break;
    case Code::kAbs: Map([](float x) { return Magnitude(x); }, i, tile, r); break;
    case Code::kSign: Map([](float x) { return x > 0.f ? 1.f : (x < 0.f ? -1.f : x); }, i, tile, r); break;
    case Code::kExp: Map([](float x) { return Exp(x); }, i, tile, r); break;
    case Code::kSqrt: Map([](float x) { return std::sqrt(x); }, i, tile, r); break;
    case Code::kRsqrt: Map([](float x) { return 1.f / std::sqrt(x); }, i, tile, r); break;
    case Code::kSquare: Map([](float x) { return x * x; }, i, tile, r); break;
    case Code::kReciprocal: Map([](float x) { return 1.f / x; }, i, tile, r); break;
    case Code::kTanh: Map([](float x) { return Tanh(x); }, i, tile, r); break;
    case Code::kSigmoid: Map([](float x) { return Sigmoid(x); }, i, tile, r); break;
    case Code::kErf: Map([](float x) { return Erf(x); }, i, tile, r); break;
    case Code::kRelu: Map([](float x) { return x < 0.f ? 0.f : x; }, i, tile, r); break;
    case Code::kRoundToBfloat16: RoundToBfloat16s(r.value[i.a], r.target[i.target], CountOf(r.kinds[i.target], tile)); break;
    case Code::kAdd: Combine([](float x, float y) { return x + y; }, i, tile, r); break;
    case Code::kSub: Combine([](float x, float y) { return x - y; }, i, tile, r); break;
    case Code::kMul: Combine([](float x, float y) { return x * y; }, i, tile, r); break;
    case Code::kDiv: Combine([](float x, float y) { return x / y; }, i, tile, r); break;
    case Code::kMaximum: Combine([](float x, float y) { return Maximum(x, y); }, i, tile, r); break;
    case Code::kMinimum: Combine([](float x, float y) { return Minimum(x, y); }, i, tile, r); break;
    case Code::kEqual: Combine([](float x, float y) { return x == y ? 1.f : 0.f; }, i, tile, r); break;
    case Code::kLess: Combine([](float x, float y) { return x < y ? 1.f : 0.f; }, i, tile, r); break;
    case Code::kGreaterEqual: Combine([](float x, float y) { return x >= y ? 1.f : 0.f; }, i, tile, r); break;
    case Code::kSigmoidGrad: Combine([](float y, float dy) { return dy * y * (1.f - y); }, i, tile, r); break;
    case Code::kSelect: Select(i, tile, r); break;
    case Code::kSum: Reduce([](float x, float y) { return x + y; }, 0.f, i, tile, r); break;
    case Code::kMax: Reduce([](float x, float y) { return Maximum(x, y); }, -INFINITY, i, tile, r); break;
    case Code::kLog: Map([](float x) { return Log(x); }, i, tile, r); break;
    case Code::kFloor: Map([](float x) { return std::floor(x); }, i, tile, r); break;
  }
}

}  // namespace

void RunRowProgram(const RowProgram& program, const Buffers& buffers) {
  if (program.rows == 0 || program.columns == 0) return;
  const int64_t tile_columns = program.reduces ? program.columns : std::min(program.columns, kTileElements);
  const int64_t tile_rows = std::clamp<int64_t>(kTileElements / tile_columns, 1, program.rows);
  const int64_t across = (program.columns + tile_columns - 1) / tile_columns;
  const int64_t down = (program.rows + tile_rows - 1) / tile_rows;
  const auto is_fixed = [&](const Access& access) {
    return program.rows > 1 && across == 1 && access.windows.empty() &&
           std::all_of(access.lead.begin(), access.lead.end(), [](int64_t stride) { return stride == 0; });
  };
  // A value stored in register order is computed directly in the output, unless that memory belongs to an input that is still to be read.
  std::vector<Access> direct;
  for (const Access& store : program.stores) {
    const void* output = buffers.outputs[store.tensor];
    const bool is_free = std::none_of(program.loads.begin(), program.loads.end(), [&](const Access& load) { return buffers.inputs[load.tensor] == output; });
    const bool is_once = std::count_if(program.stores.begin(), program.stores.end(), [&](const Access& other) { return other.reg == store.reg; }) == 1;
    if (store.type == Type::kFloat32 && program.registers[store.reg] == Kind::kFull && is_free && is_once) direct.push_back(store);
  }
  const int64_t grain = std::max<int64_t>(1, kPieceElements / (tile_rows * tile_columns));
  SharedPool().Run(across * down, grain, [&](int64_t begin, int64_t end) {
    Registers registers(program, tile_rows, tile_columns);
    for (const auto& [reg, value] : program.constants) *registers.own[reg] = value;
    for (const Access& load : program.loads)
      if (is_fixed(load)) Load(program, load, buffers, Tile{0, tile_rows, 0, tile_columns}, registers);
    for (int64_t at = begin; at < end; at++) {
      Tile tile{};
      tile.row = at / across * tile_rows;
      tile.rows = std::min(tile_rows, program.rows - tile.row);
      tile.column = at % across * tile_columns;
      tile.columns = std::min(tile_columns, program.columns - tile.column);
      for (const Access& load : program.loads)
        if (!is_fixed(load)) Load(program, load, buffers, tile, registers);
      for (const Access& store : direct)
        registers.target[store.reg] = IsDense(program, store, tile)
                                          ? static_cast<float*>(buffers.outputs[store.tensor]) + OffsetOf(program, store, tile)
                                          : registers.own[store.reg];
      for (const Instruction& instruction : program.instructions) {
        Execute(instruction, tile, registers);
        registers.value[instruction.target] = registers.target[instruction.target];
      }
      for (const Access& store : program.stores) Store(program, store, buffers, tile, registers);
    }
  });
}
