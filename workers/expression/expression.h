// The one expression grammar of Deja: `of = "price * quantity"`, `where = "price > 10 and category
// == 'shoes'"`, a replay map's `when`. Compiled once, evaluated without allocation; a compiled
// expression is immutable and may be evaluated by any thread.
//
//   or < and < not < == != < <= > >= < + - < * / < unary - < ( ) number 'text' "text" field
//
// Comparisons do not chain. A field name is letters, digits, _ and . ("traits.plan"). A missing
// field makes a comparison false (!= too) and arithmetic absent; a text in arithmetic, a division
// by zero and a result that is not finite are absent as well. == and != compare kind and value;
// < <= > >= need two numbers or two texts, else they are false. A value as a condition is true when
// it is a true bool, a number other than 0 or a text that is not empty.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "shm/base/result.h"
#include "shm/value.h"

namespace deja {

/// Where a compiled expression gets its fields from: field number × element → value.
class FieldSource {
 public:
  virtual ~FieldSource() = default;
  [[nodiscard]] virtual Value field(std::uint32_t number, std::uint32_t element) const = 0;
};

/// What a field name means to the one who compiles.
struct FieldMeaning {
  std::uint32_t number = 0;  ///< handed back to FieldSource::field
  std::uint16_t root = 0;    ///< 0: one value; else the array it is an element of
};

/// A mistake in an expression, for a person.
struct ExpressionError {
  std::string message;     ///< "unknown field 'prize'; did you mean 'price'?"
  std::size_t offset = 0;  ///< byte in the text at which it was noticed
};

class Expression {
 public:
  using Resolver = std::function<std::optional<FieldMeaning>(std::string_view name)>;

  /// Compiles `text`. `names` are all names that the resolver knows, for the "did you mean".
  /// Fields of two different arrays in one expression are an error.
  [[nodiscard]] static std::variant<Expression, ExpressionError> compile(
      std::string_view text, const Resolver& resolver, const std::vector<std::string>& names);

  /// The value for one element; `element` matters only when root() is not 0. A text result is a
  /// view of the source's or of this expression's. No allocation.
  [[nodiscard]] Value evaluate(const FieldSource& source, std::uint32_t element) const;

  /// evaluate() as a condition.
  [[nodiscard]] bool holds(const FieldSource& source, std::uint32_t element) const;

  /// The number of the field that the whole expression is, if that is all it is.
  [[nodiscard]] std::optional<std::uint32_t> only_field() const {
    if (steps_.size() != 1 || steps_[0].operation != Operation::kField) return std::nullopt;
    return steps_[0].index;
  }

  /// `price > 100` and its kin: a field, one of < <= > >=, a number.
  struct Bound {
    std::uint32_t field = 0;
    double number = 0;
    bool upper = false;      ///< < or <=
    bool including = false;  ///< <= or >=

    [[nodiscard]] bool holds(const Value& value) const {
      if (value.kind != ValueKind::kNumber) return false;
      return value.number == number ? including : (value.number < number) == upper;
    }
  };
  /// The bound that the whole expression is, if that is all it is.
  [[nodiscard]] std::optional<Bound> only_bound() const;

  /// 0, or the array whose elements it must be evaluated for, one by one.
  [[nodiscard]] std::uint16_t root() const { return root_; }

 private:
  enum class Operation : std::uint8_t {
    kNumber,
    kText,
    kField,  // push one value
    kNegate,
    kNot,  // change the topmost
    kMultiply,
    kDivide,
    kAdd,
    kSubtract,  // take two, push one
    kEqual,
    kNotEqual,
    kLess,
    kLessOrEqual,
    kGreater,
    kGreaterOrEqual,
    kAnd,
    kOr,
  };
  /// One step of the flat postfix program.
  struct Step {
    Operation operation;
    std::uint32_t index = 0;  ///< kText: in texts_; kField: the field's number
    double number = 0;        ///< kNumber
  };
  class Compiler;

  Expression() = default;
  template <std::size_t kStackValues>
  [[nodiscard]] Value run(const FieldSource& source, std::uint32_t element) const;

  std::vector<Step> steps_;
  std::vector<std::string> texts_;  ///< by index, never by pointer: an expression may be copied
  std::uint32_t stack_values_ = 0;  ///< most values that wait at once
  std::uint16_t root_ = 0;
};

}  // namespace deja
