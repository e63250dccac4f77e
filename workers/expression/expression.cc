// Running a compiled expression: one pass over its steps with a stack of values. Compiling is in
// expression_compiler.cc.
#include "workers/expression/expression.h"

#include <array>
#include <cmath>

#include "shm/base/check.h"
#include "workers/expression/expression_limits.h"

namespace deja {
namespace {

constexpr std::size_t kStackValuesUsual = 8;

Value truth(bool value) {
  return {ValueKind::kBool, value ? 1.0 : 0.0, nullptr, 0};
}

/// A value as a condition.
bool is_true(const Value& value) {
  switch (value.kind) {
    case ValueKind::kBool:
    case ValueKind::kNumber:
      return value.number != 0;
    case ValueKind::kText:
      return value.text_bytes != 0;
    case ValueKind::kAbsent:
    case ValueKind::kNull:
      break;
  }
  return false;
}

/// Only numbers are numbers: no other kind takes part in arithmetic.
bool are_numbers(const Value& a, const Value& b) {
  return a.kind == ValueKind::kNumber && b.kind == ValueKind::kNumber;
}

bool are_ordered(const Value& a, const Value& b) {
  return a.kind == b.kind && (a.kind == ValueKind::kNumber || a.kind == ValueKind::kText);
}

bool are_there(const Value& a, const Value& b) {
  return !a.absent() && !b.absent();
}

Value finite(double number) {
  return std::isfinite(number) ? Value::of(number) : Value{};
}

}  // namespace

template <std::size_t kStackValues>
Value Expression::run(const FieldSource& source, std::uint32_t element) const {
  // Not cleared: no place is read before a step has written it.
  union Stack {
    Stack() {}
    std::array<Value, kStackValues> values;
  } places;
  std::array<Value, kStackValues>& stack = places.values;
  std::size_t top = 0;  // of the next free place
  for (const Step& step : steps_) {
    if (step.operation <= Operation::kField) {
      Value& pushed = stack[top++];
      if (step.operation == Operation::kNumber) {
        pushed = Value::of(step.number);
      } else if (step.operation == Operation::kText) {
        const std::string& text = texts_[step.index];
        pushed = Value::of(text.data(), static_cast<std::uint32_t>(text.size()));
      } else {
        pushed = source.field(step.index, element);
      }
      continue;
    }
    if (step.operation <= Operation::kNot) {
      Value& changed = stack[top - 1];
      if (step.operation == Operation::kNot) {
        changed = truth(!is_true(changed));
      } else {
        changed = changed.kind == ValueKind::kNumber ? Value::of(-changed.number) : Value{};
      }
      continue;
    }
    const Value b = stack[--top];
    Value& a = stack[top - 1];
    switch (step.operation) {
      case Operation::kMultiply:
        a = are_numbers(a, b) ? finite(a.number * b.number) : Value{};
        break;
      case Operation::kDivide:  // by zero: not finite
        a = are_numbers(a, b) ? finite(a.number / b.number) : Value{};
        break;
      case Operation::kAdd:
        a = are_numbers(a, b) ? finite(a.number + b.number) : Value{};
        break;
      case Operation::kSubtract:
        a = are_numbers(a, b) ? finite(a.number - b.number) : Value{};
        break;
      case Operation::kEqual:
        a = truth(are_there(a, b) && compare(a, b) == 0);
        break;
      case Operation::kNotEqual:
        a = truth(are_there(a, b) && compare(a, b) != 0);
        break;
      case Operation::kLess:
        a = truth(are_ordered(a, b) && compare(a, b) < 0);
        break;
      case Operation::kLessOrEqual:
        a = truth(are_ordered(a, b) && compare(a, b) <= 0);
        break;
      case Operation::kGreater:
        a = truth(are_ordered(a, b) && compare(a, b) > 0);
        break;
      case Operation::kGreaterOrEqual:
        a = truth(are_ordered(a, b) && compare(a, b) >= 0);
        break;
      case Operation::kAnd:
        a = truth(is_true(a) && is_true(b));
        break;
      case Operation::kOr:
        a = truth(is_true(a) || is_true(b));
        break;
      case Operation::kNumber:
      case Operation::kText:
      case Operation::kField:
      case Operation::kNegate:
      case Operation::kNot:
        CHECK(false);
    }
  }
  DCHECK(top == 1);
  return stack[0];
}

Value Expression::evaluate(const FieldSource& source, std::uint32_t element) const {
  if (stack_values_ <= kStackValuesUsual) return run<kStackValuesUsual>(source, element);
  return run<kExpressionStackValuesMax>(source, element);
}

std::optional<Expression::Bound> Expression::only_bound() const {
  if (steps_.size() != 3 || steps_[0].operation != Operation::kField ||
      steps_[1].operation != Operation::kNumber) {
    return std::nullopt;
  }
  const Operation last = steps_[2].operation;
  const bool upper = last == Operation::kLess || last == Operation::kLessOrEqual;
  const bool lower = last == Operation::kGreater || last == Operation::kGreaterOrEqual;
  if (!upper && !lower) return std::nullopt;
  const bool including = last == Operation::kLessOrEqual || last == Operation::kGreaterOrEqual;
  return Bound{steps_[0].index, steps_[1].number, upper, including};
}

bool Expression::holds(const FieldSource& source, std::uint32_t element) const {
  return is_true(evaluate(source, element));
}

}  // namespace deja
