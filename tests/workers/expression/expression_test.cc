#include "workers/expression/expression.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <new>
#include <string>
#include <utility>

namespace deja {
namespace {

// Fields by name; those with '[]' in their meaning's root are arrays.
class Shop : public FieldSource {
 public:
  Shop() {
    add("price", 0, Value::of(12.5));
    add("quantity", 0, Value::of(4));
    add("category", 0, text("shoes"));
    add("empty", 0, text(""));
    add("zero", 0, Value::of(0));
    add("nothing", 0, {ValueKind::kNull, 0, nullptr, 0});
    add("yes", 0, {ValueKind::kBool, 1, nullptr, 0});
    add("no", 0, {ValueKind::kBool, 0, nullptr, 0});
    add("absent", 0, {});
    add("huge", 0, Value::of(1e308));
    add("traits.plan", 0, text("pro"));
    add("item", 1, text("p0"));
    add("item_price", 1, Value::of(100));
    add("other_item", 2, text("q0"));
  }

  [[nodiscard]] Value field(std::uint32_t number, std::uint32_t element) const override {
    Value value = values_[number];
    if (roots_[number] != 0 && value.kind == ValueKind::kNumber) value.number += element;
    return value;
  }

  [[nodiscard]] std::variant<Expression, ExpressionError> compile(std::string_view text) const {
    return Expression::compile(
        text,
        [&](std::string_view name) -> std::optional<FieldMeaning> {
          for (std::uint32_t number = 0; number < names_.size(); ++number) {
            if (names_[number] == name) return FieldMeaning{number, roots_[number]};
          }
          return std::nullopt;
        },
        names_);
  }

 private:
  static Value text(std::string_view from) {
    return Value::of(from.data(), static_cast<std::uint32_t>(from.size()));
  }
  void add(const char* name, std::uint16_t root, Value value) {
    names_.emplace_back(name);
    roots_.push_back(root);
    values_.push_back(value);
  }
  std::vector<std::string> names_;
  std::vector<std::uint16_t> roots_;
  std::vector<Value> values_;
};

std::string shown(const Value& value) {
  switch (value.kind) {
    case ValueKind::kAbsent:
      return "absent";
    case ValueKind::kNull:
      return "null";
    case ValueKind::kBool:
      return value.number != 0 ? "true" : "false";
    case ValueKind::kNumber: {
      std::string number = std::to_string(value.number);
      while (number.back() == '0') number.pop_back();
      if (number.back() == '.') number.pop_back();
      return number;
    }
    case ValueKind::kText:
      return "'" + std::string(value.text, value.text_bytes) + "'";
  }
  return "?";
}

/// What an expression gives, or its mistake as "offset: message".
std::string result(std::string_view text, std::uint32_t element = 0) {
  const Shop shop;
  const auto compiled = shop.compile(text);
  if (const auto* mistake = std::get_if<ExpressionError>(&compiled)) {
    return std::to_string(mistake->offset) + ": " + mistake->message;
  }
  return shown(std::get<Expression>(compiled).evaluate(shop, element));
}

TEST(Expression, KnowsNumbersTextsAndFields) {
  EXPECT_EQ(result("7"), "7");
  EXPECT_EQ(result("0.25"), "0.25");
  EXPECT_EQ(result("25e-2"), "0.25");
  EXPECT_EQ(result("1E3"), "1000");
  EXPECT_EQ(result("'it is \"so\"'"), "'it is \"so\"'");
  EXPECT_EQ(result("\"it's\""), "'it's'");
  EXPECT_EQ(result("''"), "''");
  EXPECT_EQ(result(" price\t"), "12.5");
  EXPECT_EQ(result("traits.plan"), "'pro'");
  EXPECT_EQ(result("nothing"), "null");
  EXPECT_EQ(result("absent"), "absent");
}

TEST(Expression, BindsAsTheGrammarSays) {
  EXPECT_EQ(result("1 + 2 * 3"), "7");
  EXPECT_EQ(result("(1 + 2) * 3"), "9");
  EXPECT_EQ(result("10 - 4 - 3"), "3");
  EXPECT_EQ(result("24 / 4 / 2"), "3");
  EXPECT_EQ(result("-2 * -3"), "6");
  EXPECT_EQ(result("2 - -3"), "5");
  EXPECT_EQ(result("--3"), "3");
  EXPECT_EQ(result("-(1 + 2)"), "-3");
  EXPECT_EQ(result("1 + 1 == 2"), "true");
  EXPECT_EQ(result("not 1 == 2"), "true");
  EXPECT_EQ(result("not 1 == 2 and no"), "false");
  EXPECT_EQ(result("yes or yes and no"), "true");
  EXPECT_EQ(result("(yes or yes) and no"), "false");
  EXPECT_EQ(result("not not yes"), "true");
  EXPECT_EQ(result("price > 10 and category == 'shoes'"), "true");
  EXPECT_EQ(result("price * quantity"), "50");
}

TEST(Expression, LeavesArithmeticAbsentWhereItHasNoAnswer) {
  EXPECT_EQ(result("price * absent"), "absent");
  EXPECT_EQ(result("absent + 1"), "absent");
  EXPECT_EQ(result("-absent"), "absent");
  EXPECT_EQ(result("price + category"), "absent");
  EXPECT_EQ(result("-category"), "absent");
  EXPECT_EQ(result("price + yes"), "absent");
  EXPECT_EQ(result("price + nothing"), "absent");
  EXPECT_EQ(result("1 / 0"), "absent");
  EXPECT_EQ(result("zero / zero"), "absent");
  EXPECT_EQ(result("price / -zero"), "absent");
  EXPECT_EQ(result("huge * 10"), "absent");
  EXPECT_EQ(result("-huge - huge"), "absent");
  EXPECT_EQ(result("huge + huge"), "absent");
  EXPECT_EQ(result("huge / 0.1"), "absent");
}

TEST(Expression, MakesEveryComparisonWithAMissingFieldFalse) {
  for (const char* sign : {"==", "!=", "<", "<=", ">", ">="}) {
    EXPECT_EQ(result(std::string("absent ") + sign + " 1"), "false") << sign;
    EXPECT_EQ(result(std::string("1 ") + sign + " absent"), "false") << sign;
    EXPECT_EQ(result(std::string("absent ") + sign + " absent"), "false") << sign;
    EXPECT_EQ(result(std::string("1 / 0 ") + sign + " 1"), "false") << sign;
  }
  EXPECT_EQ(result("not absent == 1"), "true");
}

TEST(Expression, ComparesKindAndValue) {
  EXPECT_EQ(result("quantity == 4"), "true");
  EXPECT_EQ(result("quantity == '4'"), "false");
  EXPECT_EQ(result("quantity != '4'"), "true");
  EXPECT_EQ(result("yes == 1"), "false");
  EXPECT_EQ(result("nothing == nothing"), "true");
  EXPECT_EQ(result("nothing != 0"), "true");
  EXPECT_EQ(result("zero == -zero"), "true");
  EXPECT_EQ(result("yes != no"), "true");
}

TEST(Expression, OrdersOnlyTwoNumbersOrTwoTexts) {
  EXPECT_EQ(result("9 < 10"), "true");
  EXPECT_EQ(result("10 <= 10"), "true");
  EXPECT_EQ(result("'9' < '10'"), "false");
  EXPECT_EQ(result("category >= 'sho'"), "true");
  EXPECT_EQ(result("category > 'shoes'"), "false");
  EXPECT_EQ(result("'Z' < 'a'"), "true");
  EXPECT_EQ(result("1 < 'a'"), "false");
  EXPECT_EQ(result("'a' > 1"), "false");
  EXPECT_EQ(result("no < yes"), "false");
  EXPECT_EQ(result("nothing <= nothing"), "false");
  EXPECT_EQ(result("nothing < 1"), "false");
}

TEST(Expression, HoldsWhenItsValueIsTrueNonZeroOrNonEmpty) {
  const Shop shop;
  const auto holds = [&](std::string_view text) {
    return std::get<Expression>(shop.compile(text)).holds(shop, 0);
  };
  for (const char* text : {"yes", "price", "-price", "category", "'0'", "1 == 1"}) {
    EXPECT_TRUE(holds(text)) << text;
  }
  for (const char* text :
       {"no", "zero", "-zero", "empty", "nothing", "absent", "1 / 0", "1 == 2"}) {
    EXPECT_FALSE(holds(text)) << text;
  }
}

TEST(Expression, KnowsABoundAndHoldsItLikeTheWholeExpression) {
  const Shop shop;
  for (const char* relation : {"<", "<=", ">", ">="}) {
    for (const char* number : {"12", "12.5", "13"}) {
      const std::string text = std::string("price ") + relation + " " + number;
      const auto compiled = shop.compile(text);
      const auto& expression = std::get<Expression>(compiled);
      const std::optional<Expression::Bound> bound = expression.only_bound();
      ASSERT_TRUE(bound) << text;
      EXPECT_EQ(bound->holds(shop.field(bound->field, 0)), expression.holds(shop, 0)) << text;
      // What is no number is on neither side, as in the expression.
      EXPECT_FALSE(bound->holds({}));
      EXPECT_FALSE(bound->holds({ValueKind::kNull, 0, nullptr, 0}));
      EXPECT_FALSE(bound->holds({ValueKind::kBool, 1, nullptr, 0}));
      EXPECT_FALSE(bound->holds(shop.field(2, 0))) << "a text";
    }
  }
  for (const char* more : {"price", "price == 12", "price != 12", "price > quantity", "12 < price",
                           "price > -12", "price > 1 and yes", "category > 'a'", "not price > 1"}) {
    const auto compiled = shop.compile(more);
    EXPECT_FALSE(std::get<Expression>(compiled).only_bound()) << more;
  }
}

TEST(Expression, GoesOverTheElementsOfOneArray) {
  const Shop shop;
  EXPECT_EQ(std::get<Expression>(shop.compile("price > 1")).root(), 0);
  EXPECT_EQ(std::get<Expression>(shop.compile("item == 'p0' and item_price > price")).root(), 1);
  EXPECT_EQ(std::get<Expression>(shop.compile("other_item")).root(), 2);
  EXPECT_EQ(result("item_price * 2", 0), "200");
  EXPECT_EQ(result("item_price * 2", 3), "206");
  EXPECT_EQ(result("item == other_item"),
            "8: 'other_item' and 'item' are of different arrays; an expression can go over one");
}

TEST(Expression, SaysWhatIsWrongAndWhere) {
  const std::map<std::string, std::string> mistakes = {
      {"", "0: the expression is empty"},
      {"  ", "2: the expression is empty"},
      {"prize * 2", "0: unknown field 'prize'; did you mean 'price'?"},
      {"1 + quantty", "4: unknown field 'quantty'; did you mean 'quantity'?"},
      {"price >", "7: expected a number, a text, a field or '(', found the end"},
      {"price > > 1", "8: expected a number, a text, a field or '(', found '>'"},
      {"1 < 2 < 3", "6: comparisons do not chain; join two of them with 'and'"},
      {"1 == 2 != 3", "7: comparisons do not chain; join two of them with 'and'"},
      {"(price", "0: this '(' is never closed"},
      {"price)", "5: expected an operator, found ')'"},
      {"price = 1", "6: found '='; write '=='"},
      {"price && yes", "6: found '&&'; write 'and'"},
      {"price || yes", "6: found '||'; write 'or'"},
      {"!price", "0: found '!'; write 'not'"},
      {"price <> 1", "6: found '<>'; write '!='"},
      {"price AND yes", "6: expected an operator, found 'AND'; did you mean 'and'?"},
      {"price 10", "6: expected an operator, found '10'"},
      {"price 'x'", "6: expected an operator, found a text"},
      {"'shoes", "0: this quote is never closed"},
      {"1 == \"shoes'", "5: this quote is never closed"},
      {"10x", "0: not a number (a name begins with a letter or '_')"},
      {"1.2.3", "0: not a number (a name begins with a letter or '_')"},
      {"1.", "0: not a number (a name begins with a letter or '_')"},
      {"1e", "0: not a number (a name begins with a letter or '_')"},
      {"1e999", "0: number out of range"},
      {"price % 2", "6: found '%', which means nothing here"},
      {"price, 1", "5: found ',', which means nothing here"},
      {"pr\xc3\xa9is", "2: found a byte that has no place outside of quotes"},
      {"1 == not 2", "5: expected a number, a text, a field or '(', found 'not'"},
      {"and", "0: expected a number, a text, a field or '(', found 'and'"},
      {"()", "1: expected a number, a text, a field or '(', found ')'"},
  };
  for (const auto& [text, mistake] : mistakes) EXPECT_EQ(result(text), mistake) << text;
}

TEST(Expression, ListsTheFieldsWhenNoneIsNear) {
  const auto none = Expression::compile("banana", [](std::string_view) { return std::nullopt; },
                                        {"item", "price"});
  EXPECT_EQ(std::get<ExpressionError>(none).message,
            "unknown field 'banana'; the fields are item, price");
  const auto empty =
      Expression::compile("banana", [](std::string_view) { return std::nullopt; }, {});
  EXPECT_EQ(std::get<ExpressionError>(empty).message,
            "unknown field 'banana'; there are no fields here");
}

std::string repeated(std::string_view part, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += part;
  return text;
}

TEST(Expression, RefusesWhatIsTooDeepOrTooLong) {
  EXPECT_EQ(result(repeated("(", 64) + "1" + repeated(")", 64)), "1");
  EXPECT_EQ(result(repeated("(", 65) + "1" + repeated(")", 65)), "64: nested more than 64 deep");
  EXPECT_EQ(result(repeated("-", 64) + "1"), "1");
  EXPECT_EQ(result(repeated("-", 65) + "1"), "64: nested more than 64 deep");
  EXPECT_EQ(result(repeated("not ", 64) + "1"), "true");
  EXPECT_EQ(result(repeated("not ", 65) + "1"), "256: nested more than 64 deep");
  EXPECT_EQ(result(repeated("(", 4000)), "64: nested more than 64 deep");
  EXPECT_EQ(result(repeated(" ", 4095) + "1"), "1");
  EXPECT_EQ(result(repeated(" ", 4096) + "1"), "4096: longer than 4096 bytes");
  // Nesting that is over again does not count.
  EXPECT_EQ(result("0" + repeated("+(-1)", 800)), "-800");
}

TEST(Expression, HasRoomForTheMostValuesThatCanWait) {
  // Every level leaves a left operand of or, and, a comparison, a sum and a product behind.
  const std::string level = "1 or 1 and 1 == 1 + 1 * ";
  EXPECT_EQ(result(repeated(level + "(", 64) + level + "1" + repeated(")", 64)), "true");
}

TEST(Expression, StaysValidWhenItIsCopiedAndMoved) {
  const Shop shop;
  Expression first = std::get<Expression>(shop.compile("category == 'shoes'"));
  Expression copy = first;
  Expression moved = std::move(first);
  EXPECT_TRUE(copy.holds(shop, 0));
  EXPECT_TRUE(moved.holds(shop, 0));
  const Expression text = std::get<Expression>(shop.compile("'short'"));
  EXPECT_EQ(shown(text.evaluate(shop, 0)), "'short'");
}

}  // namespace
}  // namespace deja
