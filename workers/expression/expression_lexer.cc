#include "workers/expression/expression_lexer.h"

#include <array>
#include <charconv>
#include <system_error>
#include <utility>

namespace deja {
namespace {

// Not <cctype>: its answer depends on the locale.
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_name(char c) {
  return is_name_start(c) || is_digit(c) || c == '.';
}
bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

struct Sign {
  std::string_view text;
  TokenKind kind;
};
// The longer ones first.
constexpr std::array kSigns = {
    Sign{"==", TokenKind::kEqual},       Sign{"!=", TokenKind::kNotEqual},
    Sign{"<=", TokenKind::kLessOrEqual}, Sign{">=", TokenKind::kGreaterOrEqual},
    Sign{"<", TokenKind::kLess},         Sign{">", TokenKind::kGreater},
    Sign{"+", TokenKind::kPlus},         Sign{"-", TokenKind::kMinus},
    Sign{"*", TokenKind::kStar},         Sign{"/", TokenKind::kSlash},
    Sign{"(", TokenKind::kOpen},         Sign{")", TokenKind::kClose},
};

/// What people write who come from another language.
struct Foreign {
  std::string_view text;
  std::string_view instead;
};
constexpr std::array kForeign = {
    Foreign{"&&", "and"}, Foreign{"||", "or"}, Foreign{"<>", "!="},
    Foreign{"=", "=="},   Foreign{"!", "not"},
};

}  // namespace

Token ExpressionLexer::take(TokenKind kind, std::size_t bytes) {
  Token token{kind, at_, text_.substr(at_, bytes), 0, {}};
  at_ += bytes;
  return token;
}

Token ExpressionLexer::mistake(std::size_t offset, std::string what) const {
  return {TokenKind::kMistake, offset, text_.substr(offset, 1), 0, std::move(what)};
}

Token ExpressionLexer::next() {
  while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  if (at_ == text_.size()) return take(TokenKind::kEnd, 0);
  const char first = text_[at_];
  if (is_digit(first)) return take_number();
  if (first == '\'' || first == '"') return take_text(first);
  if (is_name_start(first)) return take_name();
  const std::string_view rest = text_.substr(at_);
  for (const Foreign& foreign : kForeign) {
    const bool is_equal_sign = foreign.text == "=" && rest.starts_with("==");
    const bool is_not_equal = foreign.text == "!" && rest.starts_with("!=");
    if (!rest.starts_with(foreign.text) || is_equal_sign || is_not_equal) continue;
    std::string what = "found '";
    what.append(foreign.text).append("'; write '").append(foreign.instead).append("'");
    return mistake(at_, std::move(what));
  }
  for (const Sign& sign : kSigns) {
    if (rest.starts_with(sign.text)) return take(sign.kind, sign.text.size());
  }
  if (static_cast<unsigned char>(first) < 0x21 || static_cast<unsigned char>(first) > 0x7e) {
    return mistake(at_, "found a byte that has no place outside of quotes");
  }
  return mistake(at_, std::string("found '") + first + "', which means nothing here");
}

Token ExpressionLexer::take_number() {
  std::size_t end = at_;
  const auto digits = [&] {
    const std::size_t begin = end;
    while (end < text_.size() && is_digit(text_[end])) ++end;
    return end > begin;
  };
  bool complete = digits();
  if (end < text_.size() && text_[end] == '.') {
    ++end;
    complete = digits();
  }
  if (complete && end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
    ++end;
    if (end < text_.size() && (text_[end] == '+' || text_[end] == '-')) ++end;
    complete = digits();
  }
  if (!complete || (end < text_.size() && is_name(text_[end]))) {
    return mistake(at_, "not a number (a name begins with a letter or '_')");
  }
  double number = 0;
  const auto [stopped, fault] = std::from_chars(text_.data() + at_, text_.data() + end, number);
  if (fault != std::errc{} || stopped != text_.data() + end) {
    return mistake(at_, "number out of range");
  }
  Token token = take(TokenKind::kNumber, end - at_);
  token.number = number;
  return token;
}

Token ExpressionLexer::take_text(char quote) {
  const std::size_t end = text_.find(quote, at_ + 1);
  if (end == std::string_view::npos) return mistake(at_, "this quote is never closed");
  Token token{TokenKind::kText, at_, text_.substr(at_ + 1, end - at_ - 1), 0, {}};
  at_ = end + 1;
  return token;
}

Token ExpressionLexer::take_name() {
  std::size_t end = at_;
  while (end < text_.size() && is_name(text_[end])) ++end;
  const std::string_view name = text_.substr(at_, end - at_);
  TokenKind kind = TokenKind::kName;
  if (name == "or") kind = TokenKind::kOr;
  if (name == "and") kind = TokenKind::kAnd;
  if (name == "not") kind = TokenKind::kNot;
  return take(kind, end - at_);
}

}  // namespace deja
