// An expression's text as tokens, each with the byte at which it begins. Compile time only; one
// thread; views into the text, which must outlive the lexer.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace deja {

enum class TokenKind {
  kEnd,
  kNumber,
  kText,
  kName,
  kOr,
  kAnd,
  kNot,
  kEqual,
  kNotEqual,
  kLess,
  kLessOrEqual,
  kGreater,
  kGreaterOrEqual,
  kPlus,
  kMinus,
  kStar,
  kSlash,
  kOpen,
  kClose,
  kMistake,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::size_t offset = 0;
  std::string_view text;  ///< as written; kText: between the quotes
  double number = 0;      ///< kNumber
  std::string mistake;    ///< kMistake: what is wrong
};

class ExpressionLexer {
 public:
  explicit ExpressionLexer(std::string_view text) : text_(text) {}

  /// kEnd for ever after the last one. After a kMistake there is nothing sensible to come.
  [[nodiscard]] Token next();

 private:
  [[nodiscard]] Token take(TokenKind kind, std::size_t bytes);
  [[nodiscard]] Token take_number();
  [[nodiscard]] Token take_text(char quote);
  [[nodiscard]] Token take_name();
  [[nodiscard]] Token mistake(std::size_t offset, std::string what) const;

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace deja
