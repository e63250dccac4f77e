// Compiling an expression: recursive descent over the grammar of expression.h, one function for
// each level, which emits the postfix program as it goes. The first mistake stops it.
#include <algorithm>
#include <utility>

#include "shm/base/check.h"
#include "shm/nearest_name.h"
#include "workers/expression/expression.h"
#include "workers/expression/expression_lexer.h"
#include "workers/expression/expression_limits.h"

namespace deja {
namespace {

/// How a token is called in a complaint.
std::string described(const Token& token) {
  constexpr std::size_t kShownBytesMax = 40;
  switch (token.kind) {
    case TokenKind::kEnd:
      return "the end";
    case TokenKind::kText:
      return "a text";
    default:
      break;
  }
  std::string text = "'";
  text.append(token.text.substr(0, kShownBytesMax));
  if (token.text.size() > kShownBytesMax) text.append("...");
  return text.append("'");
}

std::string unknown_field(std::string_view name, const std::vector<std::string>& names) {
  constexpr std::size_t kListedMax = 12;
  std::string text = "unknown field '";
  text.append(name).append("'");
  const std::string hint = did_you_mean(name, names, '\'');
  if (!hint.empty()) return text + hint;
  if (names.empty()) return text + "; there are no fields here";
  text.append("; the fields are ");
  for (std::size_t at = 0; at < std::min(names.size(), kListedMax); ++at) {
    text.append(at == 0 ? "" : ", ").append(names[at]);
  }
  return text.append(names.size() > kListedMax ? ", ..." : "");
}

}  // namespace

class Expression::Compiler {
 public:
  Compiler(std::string_view text, const Resolver& resolver, const std::vector<std::string>& names)
      : lexer_(text), resolver_(resolver), names_(names) {}

  std::variant<Expression, ExpressionError> compile() {
    advance();
    if (!failed_ && token_.kind == TokenKind::kEnd) fail(token_.offset, "the expression is empty");
    parse_or();
    if (!failed_ && token_.kind != TokenKind::kEnd) fail_at_rest();
    if (failed_) return std::move(error_);
    CHECK(stack_values_ == 1 && program_.stack_values_ <= kExpressionStackValuesMax);
    return std::move(program_);
  }

 private:
  void parse_or() {
    parse_and();
    while (accept(TokenKind::kOr)) {
      parse_and();
      emit_binary(Operation::kOr);
    }
  }

  void parse_and() {
    parse_not();
    while (accept(TokenKind::kAnd)) {
      parse_not();
      emit_binary(Operation::kAnd);
    }
  }

  void parse_not() {
    const std::size_t offset = token_.offset;
    if (!accept(TokenKind::kNot)) return parse_comparison();
    if (!enter(offset)) return;
    parse_not();
    --nesting_;
    emit({Operation::kNot});
  }

  void parse_comparison() {
    parse_sum();
    const Operation operation = comparison(token_.kind);
    if (failed_ || operation == Operation::kNot) return;
    advance();
    parse_sum();
    emit_binary(operation);
    if (!failed_ && comparison(token_.kind) != Operation::kNot) {
      fail(token_.offset, "comparisons do not chain; join two of them with 'and'");
    }
  }

  void parse_sum() {
    parse_product();
    for (;;) {
      const bool is_minus = token_.kind == TokenKind::kMinus;
      if (!accept(TokenKind::kPlus) && !accept(TokenKind::kMinus)) return;
      parse_product();
      emit_binary(is_minus ? Operation::kSubtract : Operation::kAdd);
    }
  }

  void parse_product() {
    parse_unary();
    for (;;) {
      const bool is_slash = token_.kind == TokenKind::kSlash;
      if (!accept(TokenKind::kStar) && !accept(TokenKind::kSlash)) return;
      parse_unary();
      emit_binary(is_slash ? Operation::kDivide : Operation::kMultiply);
    }
  }

  void parse_unary() {
    const std::size_t offset = token_.offset;
    if (!accept(TokenKind::kMinus)) return parse_primary();
    if (!enter(offset)) return;
    parse_unary();
    --nesting_;
    emit({Operation::kNegate});
  }

  void parse_primary() {
    if (failed_) return;
    const Token token = token_;
    switch (token.kind) {
      case TokenKind::kNumber:
        advance();
        return emit_value({Operation::kNumber, 0, token.number});
      case TokenKind::kText:
        advance();
        program_.texts_.emplace_back(token.text);
        return emit_value(
            {Operation::kText, static_cast<std::uint32_t>(program_.texts_.size() - 1), 0});
      case TokenKind::kName:
        advance();
        return emit_field(token);
      case TokenKind::kOpen:
        advance();
        if (!enter(token.offset)) return;
        parse_or();
        --nesting_;
        if (failed_ || accept(TokenKind::kClose)) return;
        if (token_.kind == TokenKind::kEnd) return fail(token.offset, "this '(' is never closed");
        return fail_at_rest();
      default:
        return fail(token.offset,
                    "expected a number, a text, a field or '(', found " + described(token));
    }
  }

  void emit_field(const Token& token) {
    if (failed_) return;
    const std::optional<FieldMeaning> meaning = resolver_(token.text);
    if (!meaning) return fail(token.offset, unknown_field(token.text, names_));
    if (meaning->root != 0) {
      if (program_.root_ == 0) {
        program_.root_ = meaning->root;
        root_field_ = token.text;
      } else if (program_.root_ != meaning->root) {
        return fail(token.offset, "'" + std::string(token.text) + "' and '" +
                                      std::string(root_field_) +
                                      "' are of different arrays; an expression can go over one");
      }
    }
    emit_value({Operation::kField, meaning->number, 0});
  }

  void emit(const Step& step) {
    if (!failed_) program_.steps_.push_back(step);
  }

  void emit_value(const Step& step) {
    emit(step);
    ++stack_values_;
    program_.stack_values_ = std::max(program_.stack_values_, stack_values_);
  }

  void emit_binary(Operation operation) {
    emit({operation});
    if (!failed_) --stack_values_;
  }

  /// kNot for what is no comparison.
  static Operation comparison(TokenKind kind) {
    switch (kind) {
      case TokenKind::kEqual:
        return Operation::kEqual;
      case TokenKind::kNotEqual:
        return Operation::kNotEqual;
      case TokenKind::kLess:
        return Operation::kLess;
      case TokenKind::kLessOrEqual:
        return Operation::kLessOrEqual;
      case TokenKind::kGreater:
        return Operation::kGreater;
      case TokenKind::kGreaterOrEqual:
        return Operation::kGreaterOrEqual;
      default:
        return Operation::kNot;
    }
  }

  [[nodiscard]] bool accept(TokenKind kind) {
    if (failed_ || token_.kind != kind) return false;
    advance();
    return true;
  }

  void advance() {
    if (failed_) return;
    token_ = lexer_.next();
    if (token_.kind == TokenKind::kMistake) fail(token_.offset, token_.mistake);
  }

  /// False where it would be one level too many.
  [[nodiscard]] bool enter(std::size_t offset) {
    if (failed_) return false;
    if (++nesting_ <= kExpressionNestingMax) return true;
    fail(offset, "nested more than " + std::to_string(kExpressionNestingMax) + " deep");
    return false;
  }

  /// A whole expression was read and something follows it.
  void fail_at_rest() {
    static constexpr std::string_view kWords[] = {"and", "or", "not"};
    std::string message = "expected an operator, found " + described(token_);
    if (token_.kind == TokenKind::kName) message += did_you_mean(token_.text, kWords, '\'');
    fail(token_.offset, std::move(message));
  }

  void fail(std::size_t offset, std::string message) {
    if (failed_) return;
    failed_ = true;
    error_ = {std::move(message), offset};
  }

  ExpressionLexer lexer_;
  const Resolver& resolver_;
  const std::vector<std::string>& names_;
  Token token_;
  Expression program_;
  std::string_view root_field_;
  std::uint32_t stack_values_ = 0;
  std::size_t nesting_ = 0;
  bool failed_ = false;
  ExpressionError error_;
};

std::variant<Expression, ExpressionError> Expression::compile(
    std::string_view text, const Resolver& resolver, const std::vector<std::string>& names) {
  if (text.size() > kExpressionBytesMax) {
    return ExpressionError{"longer than " + std::to_string(kExpressionBytesMax) + " bytes",
                           kExpressionBytesMax};
  }
  return Compiler(text, resolver, names).compile();
}

}  // namespace deja
