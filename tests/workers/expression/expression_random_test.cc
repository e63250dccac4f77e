// The compiled expression against a plain evaluator that walks the tree from which the text was
// written; and texts of rubbish, which must be refused and nothing worse.
#include <gtest/gtest.h>

#include <cmath>
#include <compare>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include "workers/expression/expression.h"

namespace deja {
namespace {

using Generator = std::mt19937_64;

std::uint64_t seed_of_run() {
  const char* given = std::getenv("DEJA_SEED");
  const std::uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::uint64_t{std::random_device{}()};
  std::cout << "DEJA_SEED=" << seed << "\n";
  return seed;
}

std::size_t below(Generator& random, std::size_t bound) {
  return static_cast<std::size_t>(random() % bound);
}

// --- the reference: nothing of it is shared with the code under test -----------------------------
struct Missing {
  auto operator<=>(const Missing&) const = default;
};
struct Null {
  auto operator<=>(const Null&) const = default;
};
using Plain = std::variant<Missing, Null, bool, double, std::string>;

struct Node {
  std::string sign;  ///< an operator, "field", "value", "negative"
  std::size_t field = 0;
  Plain value;
  std::unique_ptr<Node> left;
  std::unique_ptr<Node> right;
};

bool truthy(const Plain& value) {
  if (const bool* truth = std::get_if<bool>(&value)) return *truth;
  if (const double* number = std::get_if<double>(&value)) return *number != 0;
  if (const std::string* text = std::get_if<std::string>(&value)) return !text->empty();
  return false;
}

Plain arithmetic(const std::string& sign, const Plain& a, const Plain& b) {
  const double* x = std::get_if<double>(&a);
  const double* y = std::get_if<double>(&b);
  if (x == nullptr || y == nullptr) return Missing{};
  if (sign == "/" && *y == 0) return Missing{};
  const double z = sign == "+" ? *x + *y : sign == "-" ? *x - *y : sign == "*" ? *x * *y : *x / *y;
  if (!std::isfinite(z)) return Missing{};
  return z;
}

bool compared(const std::string& sign, const Plain& a, const Plain& b) {
  if (std::holds_alternative<Missing>(a) || std::holds_alternative<Missing>(b)) return false;
  if (sign == "==") return a == b;
  if (sign == "!=") return a != b;
  if (a.index() != b.index()) return false;
  if (!std::holds_alternative<double>(a) && !std::holds_alternative<std::string>(a)) return false;
  if (sign == "<") return a < b;
  if (sign == "<=") return a < b || a == b;
  if (sign == ">") return b < a;
  return b < a || a == b;
}

Plain walk(const Node& node, const std::vector<Plain>& fields) {
  if (node.sign == "value") return node.value;
  if (node.sign == "field") return fields[node.field];
  const Plain a = walk(*node.left, fields);
  if (node.sign == "not") return !truthy(a);
  if (node.sign == "negative") {
    const double* number = std::get_if<double>(&a);
    return number != nullptr ? Plain(-*number) : Plain(Missing{});
  }
  const Plain b = walk(*node.right, fields);
  if (node.sign == "or") return truthy(a) || truthy(b);
  if (node.sign == "and") return truthy(a) && truthy(b);
  if (std::string("+-*/").find(node.sign) != std::string::npos) {
    return arithmetic(node.sign, a, b);
  }
  return compared(node.sign, a, b);
}

// --- random trees, values and how they are written -----------------------------------------------
constexpr std::size_t kFieldCount = 6;
const std::vector<std::string> kNames = {"a", "b.c", "_d", "price", "trait9", "category"};

Plain random_plain(Generator& random) {
  static const std::vector<double> kNumbers = {0, 1, -1, 2.5, 3, 10, 1e300, -1e300, 1e-300};
  static const std::vector<std::string> kTexts = {"", "a", "ab", "b", "it's", "\xc3\xa9"};
  switch (below(random, 8)) {
    case 0:
      return Missing{};
    case 1:
      return Null{};
    case 2:
      return below(random, 2) == 0;
    case 3:
    case 4:
      return kTexts[below(random, kTexts.size())];
    default:
      return kNumbers[below(random, kNumbers.size())];
  }
}

std::unique_ptr<Node> random_tree(Generator& random, int depth) {
  static const std::vector<std::string> kSigns = {
      "or", "and", "not", "==", "!=", "<", "<=", ">", ">=", "+", "-", "negative", "*", "/"};
  auto node = std::make_unique<Node>();
  if (depth == 0 || below(random, 8) == 0) {
    node->sign = below(random, 2) == 0 ? "field" : "value";
    node->field = below(random, kFieldCount);
    const Plain value = random_plain(random);
    const double* number = std::get_if<double>(&value);
    // What can be written down: texts, and numbers without a sign.
    const bool is_text = std::holds_alternative<std::string>(value);
    node->value = is_text ? value : Plain(number != nullptr ? std::abs(*number) : 7.0);
    return node;
  }
  node->sign = kSigns[below(random, kSigns.size())];
  node->left = random_tree(random, depth - 1);
  if (node->sign != "not" && node->sign != "negative") node->right = random_tree(random, depth - 1);
  return node;
}

int level(const std::string& sign) {
  if (sign == "or") return 1;
  if (sign == "and") return 2;
  if (sign == "not") return 3;
  if (sign == "+" || sign == "-") return 5;
  if (sign == "*" || sign == "/") return 6;
  if (sign == "negative") return 7;
  if (sign == "field" || sign == "value") return 8;
  return 4;
}

/// As few parentheses as the grammar allows, and sometimes more.
std::string written(const Node& node, int least_level, Generator& random) {
  const int own = level(node.sign);
  std::string text;
  const std::string space = below(random, 4) == 0 ? "" : " ";
  if (node.sign == "value") {
    if (const double* number = std::get_if<double>(&node.value)) {
      char buffer[64];
      std::snprintf(buffer, sizeof buffer, "%.17g", *number);
      text = buffer;
    } else {
      const std::string& value = std::get<std::string>(node.value);
      const char* quote = value.find('\'') == std::string::npos ? "'" : "\"";
      text = quote + value + quote;
    }
  } else if (node.sign == "field") {
    text = kNames[node.field];
  } else if (node.sign == "not") {
    text = "not " + written(*node.left, own, random);
  } else if (node.sign == "negative") {
    text = "-" + written(*node.left, own, random);
  } else {
    const bool is_word = own <= 2;
    const std::string gap = is_word ? " " : space;
    const int left_level = own == 4 ? 5 : own;  // comparisons do not chain
    text = written(*node.left, left_level, random) + gap + node.sign + gap +
           written(*node.right, own + 1, random);
  }
  if (own < least_level || below(random, 10) == 0) return "(" + text + ")";
  return text;
}

Value view(const Plain& plain) {
  if (std::holds_alternative<Missing>(plain)) return {};
  if (std::holds_alternative<Null>(plain)) return {ValueKind::kNull, 0, nullptr, 0};
  if (const bool* truth = std::get_if<bool>(&plain)) {
    return {ValueKind::kBool, *truth ? 1.0 : 0.0, nullptr, 0};
  }
  if (const double* number = std::get_if<double>(&plain)) return Value::of(*number);
  const std::string& text = std::get<std::string>(plain);
  return Value::of(text.data(), static_cast<std::uint32_t>(text.size()));
}

class Fields : public FieldSource {
 public:
  explicit Fields(const std::vector<Plain>& fields) : fields_(fields) {}
  [[nodiscard]] Value field(std::uint32_t number, std::uint32_t) const override {
    return view(fields_[number]);
  }

 private:
  const std::vector<Plain>& fields_;
};

std::optional<FieldMeaning> resolve(std::string_view name) {
  for (std::uint32_t number = 0; number < kNames.size(); ++number) {
    if (kNames[number] == name) return FieldMeaning{number, 0};
  }
  return std::nullopt;
}

TEST(ExpressionRandom, AgreesWithAWalkOverTheTree) {
  Generator random(seed_of_run());
  for (int round = 0; round < 20'000; ++round) {
    const std::unique_ptr<Node> tree = random_tree(random, static_cast<int>(below(random, 7)));
    const std::string text = written(*tree, 0, random);
    if (text.size() > 4096) continue;
    const auto compiled = Expression::compile(text, resolve, kNames);
    ASSERT_TRUE(std::holds_alternative<Expression>(compiled))
        << text << "\n"
        << std::get<ExpressionError>(compiled).message;
    for (int times = 0; times < 3; ++times) {
      std::vector<Plain> fields;
      for (std::size_t at = 0; at < kFieldCount; ++at) fields.push_back(random_plain(random));
      const Fields source(fields);
      const Plain expected = walk(*tree, fields);
      const Value wanted = view(expected);
      const Value seen = std::get<Expression>(compiled).evaluate(source, 0);
      ASSERT_EQ(static_cast<int>(seen.kind), static_cast<int>(wanted.kind)) << text;
      ASSERT_EQ(compare(seen, wanted), 0) << text;
      ASSERT_EQ(std::get<Expression>(compiled).holds(source, 0), truthy(expected)) << text;
    }
  }
}

TEST(ExpressionRandom, RefusesRubbishOrEvaluatesIt) {
  static const std::vector<std::string> kPieces = {
      "a",   "b.c", "price", "x",  "1",   "1.", "1e9",  "1e999", "'", "\"",
      "'s'", "(",   ")",     "-",  "+",   "*",  "/",    "==",    "=", "<",
      "<=",  "!",   "and",   "or", "not", " ",  "\xff", "\0",    ".", "%"};
  Generator random(seed_of_run());
  const std::vector<Plain> fields(kFieldCount, Plain(1.0));
  const Fields source(fields);
  int accepted = 0;
  for (int round = 0; round < 50'000; ++round) {
    std::string text;
    const std::size_t pieces = below(random, 12);
    for (std::size_t at = 0; at < pieces; ++at) text += kPieces[below(random, kPieces.size())];
    const auto compiled = Expression::compile(text, resolve, kNames);
    if (const auto* mistake = std::get_if<ExpressionError>(&compiled)) {
      ASSERT_LE(mistake->offset, text.size()) << text;
      ASSERT_FALSE(mistake->message.empty()) << text;
    } else {
      ++accepted;
      (void)std::get<Expression>(compiled).evaluate(source, 0);
    }
  }
  EXPECT_GT(accepted, 0);
}

}  // namespace
}  // namespace deja
