// Generated from trainer/graph/fusion/row-program.ts; do not edit. To regenerate it:
// UPDATE_FIXTURES=1 npx vitest run test/unit/graph/native-header.test.ts
#pragma once
#include <cstdint>

enum class Code : int32_t { kNeg, kAbs, kSign, kExp, kSqrt, kRsqrt, kSquare, kReciprocal, kTanh, kSigmoid, kErf, kRelu, kRoundToBfloat16, kAdd, kSub, kMul, kDiv, kMaximum, kMinimum, kEqual, kLess, kGreaterEqual, kSigmoidGrad, kSelect, kSum, kMax, kLog, kFloor };
enum class Kind : int32_t { kFull, kRow, kScalar };
enum class Type : int32_t { kFloat32, kBfloat16, kBool, kUint8, kInt8, kInt32 };

constexpr int32_t kCodes = 28, kKinds = 3, kTypes = 6;
constexpr int32_t kMaxLeadAxes = 12;
constexpr int32_t kMaxInstructions = 400;
constexpr int32_t kMaxFullRegisters = 28;
constexpr int32_t kMaxReducedColumns = 262144;

// The number of operands, and whether a whole row becomes one number.
struct CodeInfo {
  int32_t operands;
  bool reduces;
};
constexpr CodeInfo kCodeInfo[kCodes] = {
    {1, false},  // neg
    {1, false},  // abs
    {1, false},  // sign
    {1, false},  // exp
    {1, false},  // sqrt
    {1, false},  // rsqrt
    {1, false},  // square
    {1, false},  // reciprocal
    {1, false},  // tanh
    {1, false},  // sigmoid
    {1, false},  // erf
    {1, false},  // relu
    {1, false},  // roundToBfloat16
    {2, false},  // add
    {2, false},  // sub
    {2, false},  // mul
    {2, false},  // div
    {2, false},  // maximum
    {2, false},  // minimum
    {2, false},  // equal
    {2, false},  // less
    {2, false},  // greaterEqual
    {2, false},  // sigmoidGrad
    {3, false},  // select
    {1, true},  // sum
    {1, true},  // max
    {1, false},  // log
    {1, false},  // floor
};
