// A program over the rows of some tensors: what lies between two matrix products, in one pass over memory.
// trainer/engine/tensorflow/fused.ts writes it; trainer/graph/fusion/row-program.ts says what it means.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

enum class Kind : int32_t { kFull, kRow, kScalar };
enum class Type : int32_t { kFloat32, kBfloat16, kBool, kUint8, kInt8, kInt32 };

// Rows outside [low, high) of one leading axis hold the fill instead of an element.
struct Window {
  int32_t axis, low, high;
};

// Where the element of row (l0, l1, …) and column c lies: offset + Σ lead · l + column · c.
struct Access {
  int32_t tensor, reg, column;
  Type type;
  int64_t offset;
  std::vector<int64_t> lead;
  std::vector<Window> windows;
  float fill;
};

struct Instruction {
  int32_t code, target, a, b, c;
};

struct Output {
  Type type;
  std::vector<int64_t> shape;
  // Inputs whose memory it may take over, where nobody else holds them.
  std::vector<int32_t> candidates;
};

struct RowProgram {
  int64_t rows = 1, columns = 1;
  std::vector<int64_t> lead;
  // Set where a row has to be seen as a whole.
  bool reduces = false;
  std::vector<Kind> registers;
  std::vector<std::pair<int32_t, float>> constants;
  std::vector<Access> loads, stores;
  std::vector<Instruction> instructions;
  std::vector<Output> outputs;
};

// The words of a program as RowProgram; false where they do not make one.
bool ParseRowProgram(const int32_t* words, size_t count, RowProgram* program);

struct Buffers {
  const void* const* inputs;
  void* const* outputs;
};

// Runs it over all rows. What a row gives does not depend on how rows are shared between threads.
void RunRowProgram(const RowProgram& program, const Buffers& buffers);
