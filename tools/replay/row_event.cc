#include "tools/replay/row_event.h"

#include <charconv>
#include <cmath>

#include "shm/number_text.h"
#include "tools/config/duration.h"
#include "tools/replay/time_text.h"

namespace deja {
namespace {

std::optional<double> parse_number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  double number = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  if (result.ec != std::errc{} || result.ptr != text.data() + text.size()) return std::nullopt;
  if (!std::isfinite(number)) return std::nullopt;
  return number;
}

std::string_view view(const Value& value) {
  return {value.text, value.text_bytes};
}

std::optional<double> number_of(const Value& value) {
  if (value.kind == ValueKind::kNumber || value.kind == ValueKind::kBool) return value.number;
  if (value.kind == ValueKind::kText) return parse_number(view(value));
  return std::nullopt;
}

std::optional<bool> truth_of(const Value& value) {
  if (value.kind == ValueKind::kBool || value.kind == ValueKind::kNumber) return value.number != 0;
  if (value.kind != ValueKind::kText) return std::nullopt;
  const std::string_view text = view(value);
  if (text == "true" || text == "True" || text == "TRUE" || text == "1") return true;
  if (text == "false" || text == "False" || text == "FALSE" || text == "0") return false;
  return std::nullopt;
}

/// The row as an expression sees it: a text that is wholly a number is one.
class RowFields final : public FieldSource {
 public:
  explicit RowFields(const Row& row) : row_(row) {}
  [[nodiscard]] Value field(std::uint32_t number, std::uint32_t) const override {
    const Value value = row_.values[number];
    if (value.kind != ValueKind::kText) return value;
    const std::optional<double> as_number = parse_number(view(value));
    return as_number ? Value::of(*as_number) : value;
  }

 private:
  const Row& row_;
};

Datum datum_of(const Value& value) {
  switch (value.kind) {
    case ValueKind::kAbsent:
      return {};
    case ValueKind::kNull: {
      Datum datum;
      datum.kind = Datum::Kind::kNull;
      return datum;
    }
    case ValueKind::kBool:
      return Datum::of(value.number != 0);
    case ValueKind::kNumber:
      return Datum::of(value.number);
    case ValueKind::kText:
      return Datum::of(std::string(view(value)));
  }
  return {};
}

Datum build(const ValueTemplate& value, const Row& row);

Datum build_object(const ValueTemplate::Members& members, const Row& row) {
  Datum object;
  object.kind = Datum::Kind::kObject;
  for (const auto& [name, member] : members) {
    Datum datum = build(member, row);
    if (!datum.absent()) object.members.push_back({name, std::move(datum)});
  }
  return object;
}

Datum build(const ValueTemplate& value, const Row& row) {
  if (const auto* constant = std::get_if<Datum>(&value.what)) return *constant;
  if (const auto* use = std::get_if<ColumnUse>(&value.what)) {
    return cast_datum(row.values[use->column], use->cast);
  }
  if (const auto* expression = std::get_if<Expression>(&value.what)) {
    return datum_of(expression->evaluate(RowFields(row), 0));
  }
  if (const auto* members = std::get_if<ValueTemplate::Members>(&value.what)) {
    return build_object(*members, row);
  }
  Datum array;
  array.kind = Datum::Kind::kArray;
  for (const ValueTemplate& element : std::get<ValueTemplate::Elements>(value.what)) {
    Datum datum = build(element, row);
    if (!datum.absent()) array.elements.push_back(std::move(datum));
  }
  return array;
}

/// Empty when one of its columns has no value.
std::string fill(const TextTemplate& text, const Row& row) {
  std::string filled;
  for (const auto& part : text.parts) {
    if (const auto* literal = std::get_if<std::string>(&part)) {
      filled += *literal;
      continue;
    }
    const auto& use = std::get<ColumnUse>(part);
    const std::optional<std::string> value = cast_text(row.values[use.column], use.cast);
    if (!value || value->empty()) return {};
    filled += *value;
  }
  return filled;
}

/// The instants that an event's JSON can name: the years 0 to 9999.
bool is_instant(std::int64_t time_us) {
  return time_us >= -62'167'219'200'000'000 && time_us < 253'402'300'800'000'000;
}

std::optional<std::int64_t> parse_row_time(const ReplayMap& map, const Row& row) {
  const Value& value = row.values[map.time.column];
  std::int64_t unit_us = 1;
  switch (map.time_unit) {
    case ReplayMap::TimeUnit::kFormat:
      if (value.kind != ValueKind::kText) return std::nullopt;
      return parse_time(std::string(view(value)), map.time_format);
    case ReplayMap::TimeUnit::kRfc3339:
      if (value.kind != ValueKind::kText) return std::nullopt;
      return parse_instant(view(value));
    case ReplayMap::TimeUnit::kSeconds:
      unit_us = 1'000'000;
      break;
    case ReplayMap::TimeUnit::kMilliseconds:
      unit_us = 1'000;
      break;
    case ReplayMap::TimeUnit::kMicroseconds:
      break;
  }
  const std::optional<double> number = number_of(value);
  if (!number || std::fabs(*number) * static_cast<double>(unit_us) > 9e18) return std::nullopt;
  const double whole = std::floor(*number);
  return static_cast<std::int64_t>(whole) * unit_us +
         std::llround((*number - whole) * static_cast<double>(unit_us));
}

std::optional<std::int64_t> read_time(const ReplayMap& map, const Row& row) {
  const std::optional<std::int64_t> time_us = parse_row_time(map, row);
  return time_us && is_instant(*time_us) ? time_us : std::nullopt;
}

}  // namespace

std::optional<std::string> cast_text(const Value& value, Cast cast) {
  if (value.kind == ValueKind::kAbsent || value.kind == ValueKind::kNull) return std::nullopt;
  if (cast == Cast::kBoolean) {
    const std::optional<bool> truth = truth_of(value);
    if (!truth) return std::nullopt;
    return std::string(*truth ? "true" : "false");
  }
  if (value.kind == ValueKind::kText && (cast == Cast::kNone || cast == Cast::kText)) {
    return std::string(view(value));
  }
  if (value.kind == ValueKind::kBool && cast != Cast::kNumber && cast != Cast::kInteger) {
    return std::string(value.number != 0 ? "true" : "false");
  }
  const std::optional<double> number = number_of(value);
  if (!number || (cast == Cast::kInteger && *number != std::trunc(*number))) return std::nullopt;
  char text[kNumberTextBytesMax];
  return std::string(text, write_number(text, *number));
}

Datum cast_datum(const Value& value, Cast cast) {
  if (cast == Cast::kNone || value.absent() || value.kind == ValueKind::kNull) {
    return datum_of(value);
  }
  if (cast == Cast::kText) {
    std::optional<std::string> text = cast_text(value, cast);
    return text ? Datum::of(std::move(*text)) : Datum{};
  }
  if (cast == Cast::kBoolean) {
    const std::optional<bool> truth = truth_of(value);
    return truth ? Datum::of(*truth) : Datum{};
  }
  const std::optional<double> number = number_of(value);
  if (!number || (cast == Cast::kInteger && *number != std::trunc(*number))) return {};
  return Datum::of(*number);
}

RowEvents::RowEvents(const ReplayMap& map, std::string source_name)
    : map_(map), source_name_(std::move(source_name)) {}

RowOutcome RowEvents::make(const Row& row, ReplayEvent& event) const {
  event.user = fill(map_.user, row);
  event.anonymous = fill(map_.anonymous, row);
  if (event.user.empty() && event.anonymous.empty()) return RowOutcome::kNoUser;

  const ReplayMap::EventRule* chosen = nullptr;
  for (const ReplayMap::EventRule& rule : map_.events) {
    if (rule.when && !rule.when->holds(RowFields(row), 0)) continue;
    chosen = &rule;
    break;
  }
  if (chosen == nullptr) return RowOutcome::kNoRule;

  const std::optional<std::int64_t> time_us = read_time(map_, row);
  if (!time_us) return RowOutcome::kBadTime;
  event.time_us = *time_us;
  event.type = chosen->type;
  event.name = fill(chosen->name, row);
  event.properties = build_object(chosen->properties, row);
  event.traits = build_object(chosen->traits, row);
  event.context = build_object(chosen->context, row);

  event.id.clear();
  if (map_.id.empty()) event.id = source_name_ + "-" + std::to_string(row.number);
  for (std::size_t part = 0; part < map_.id.size(); ++part) {
    if (part > 0) event.id.push_back('-');
    if (const auto* use = std::get_if<ColumnUse>(&map_.id[part])) {
      event.id += cast_text(row.values[use->column], use->cast).value_or("");
    } else {
      event.id += std::to_string(row.number);
    }
  }
  return RowOutcome::kEvent;
}

}  // namespace deja
