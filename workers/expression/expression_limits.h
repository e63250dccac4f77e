// How large an expression may be: configs and replay maps come from outside.
#pragma once

#include <cstddef>

namespace deja {

inline constexpr std::size_t kExpressionBytesMax = 4096;

/// Parentheses, `not` and unary minus inside each other.
inline constexpr std::size_t kExpressionNestingMax = 64;

/// Most values that can wait at once: on each level one left operand each of or, and, a comparison,
/// a sum and a product; and the value just read.
inline constexpr std::size_t kExpressionStackValuesMax = 5 * (kExpressionNestingMax + 1) + 1;

}  // namespace deja
