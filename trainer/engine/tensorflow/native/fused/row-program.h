// A program over the rows of some tensors: the operations between two matrix products, in one pass over memory.
// trainer/engine/tensorflow/fused.ts writes it; trainer/graph/fusion/row-program.ts defines it.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "row-program-format.h"

// Maximum number of tensors that a program may name.
constexpr int64_t kMaxTensors = 4096;

// Rows outside [low, high) of a leading axis hold the fill value.
struct Window {
  int32_t axis, low, high;
};

// The element of row (l0, l1, …) and column c is at offset + Σ lead · l + column · c.
struct Access {
  int32_t tensor, reg, column;
  Type type;
  int64_t offset;
  std::vector<int64_t> lead;
  std::vector<Window> windows;
  float fill;
};

struct Instruction {
  Code code;
  int32_t target, a, b, c;
};

struct Output {
  Type type;
  std::vector<int64_t> shape;
  // Inputs whose memory it may take over, if nothing else holds them.
  std::vector<int32_t> candidates;
};

struct RowProgram {
  int64_t rows = 1, columns = 1;
  std::vector<int64_t> lead;
  // True if an instruction needs a whole row at once.
  bool reduces = false;
  std::vector<Kind> registers;
  std::vector<std::pair<int32_t, float>> constants;
  std::vector<Access> loads, stores;
  std::vector<Instruction> instructions;
  std::vector<Output> outputs;
};

// Parses a program from its words. Returns false if they are not a runnable program: values out of range, or registers of unsuitable kinds.
bool ParseRowProgram(const int32_t* words, size_t count, RowProgram* program);

// Returns true if a program stays within tensors of these sizes, in bytes.
bool FitsTensors(const RowProgram& program, const std::vector<size_t>& inputs, const std::vector<size_t>& outputs);

struct Buffers {
  const void* const* inputs;
  void* const* outputs;
};

// Runs the program over all rows. The result of a row does not depend on how rows are divided among threads.
void RunRowProgram(const RowProgram& program, const Buffers& buffers);
