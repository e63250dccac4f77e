#include "tools/replay/replay_map.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <memory>
#include <sstream>
#include <string_view>

#include "shm/nearest_name.h"
#include "tools/config/toml_tree.h"

namespace deja {
namespace {

/// Ends the parsing at the first mistake; caught in ReplayMap::parse.
struct Mistake {
  Error error;
};

constexpr std::array<std::string_view, 4> kCasts = {"text", "number", "integer", "boolean"};

class Parser {
 public:
  Parser(const std::string& path, std::string_view document) : document_(document) {
    map_.path = path;
  }

  ReplayMap parse(const TomlValue& root) {
    known_keys(root, {"format", "separator", "columns", "each", "user", "anonymous", "time", "id",
                      "event"});
    read_format(root);
    if (const TomlValue* node = root.find("user")) map_.user = key_template(*node);
    if (const TomlValue* node = root.find("anonymous")) map_.anonymous = key_template(*node);
    if (map_.user.empty() && map_.anonymous.empty()) {
      fail(root, "the map names no user",
           "Set user = \"COLUMN\" or anonymous = \"PREFIX-{COLUMN}\".");
    }
    read_time(root);
    read_id(root);
    read_events(root);
    return std::move(map_);
  }

 private:
  [[noreturn]] void fail(TomlPlace at, std::string what, std::string remedy) {
    throw Mistake{{where(at) + ": " + std::move(what), 0, std::move(remedy)}};
  }
  [[noreturn]] void fail(const TomlValue& node, std::string what, std::string remedy) {
    fail(node.place, std::move(what), std::move(remedy));
  }
  [[nodiscard]] std::string where(TomlPlace at) const {
    if (at.line == 0) at = {1, 1};  // of the whole document
    return map_.path + ":" + std::to_string(at.line) + ":" + std::to_string(at.column);
  }

  void known_keys(const TomlValue& table, const std::vector<std::string_view>& names) {
    for (const TomlEntry& entry : table.entries) {
      if (std::find(names.begin(), names.end(), entry.key) != names.end()) continue;
      std::string all;
      for (const std::string_view name : names) all.append(all.empty() ? "" : ", ").append(name);
      fail(entry.place, "unknown key \"" + entry.key + "\"" + did_you_mean(entry.key, names),
           "The keys here are " + all + ".");
    }
  }

  std::string text(const TomlValue& node, const std::string& what) {
    if (node.kind != TomlKind::kText) fail(node, what + " is not a text", "Put it into quotes.");
    return node.text;
  }

  std::uint32_t column(const std::string& name, const TomlValue& node) {
    if (name.empty()) fail(node, "the name of a column is empty", "Name a column of the file.");
    for (std::uint32_t number = 0; number < map_.columns.size(); ++number) {
      if (map_.columns[number].name == name) return number;
    }
    map_.columns.push_back({name, where(node.place)});
    return static_cast<std::uint32_t>(map_.columns.size() - 1);
  }

  /// "UnitPrice:number". A colon whose right side is no type belongs to the column's name.
  ColumnUse column_use(const std::string& spec, const TomlValue& node) {
    const std::size_t colon = spec.rfind(':');
    if (colon == std::string::npos) return {column(spec, node), Cast::kNone};
    const std::string_view type = std::string_view(spec).substr(colon + 1);
    const auto found = std::find(kCasts.begin(), kCasts.end(), type);
    if (found == kCasts.end()) {
      if (nearest_name(type, kCasts)) {
        fail(node, "unknown type \"" + std::string(type) + "\"" + did_you_mean(type, kCasts),
             "A column's type is text, number, integer or boolean.");
      }
      return {column(spec, node), Cast::kNone};
    }
    constexpr std::array<Cast, 4> kMeaning = {Cast::kText, Cast::kNumber, Cast::kInteger,
                                              Cast::kBoolean};
    return {column(spec.substr(0, colon), node),
            kMeaning[static_cast<std::size_t>(found - kCasts.begin())]};
  }

  /// "anon-{InvoiceNo}".
  TextTemplate text_template(const std::string& spec, const TomlValue& node) {
    TextTemplate parts;
    std::size_t at = 0;
    while (at < spec.size()) {
      const std::size_t open = spec.find('{', at);
      if (open != at) parts.parts.emplace_back(spec.substr(at, open - at));
      if (open == std::string::npos) break;
      const std::size_t close = spec.find('}', open);
      if (close == std::string::npos) {
        fail(node, "\"{\" without \"}\" in \"" + spec + "\"", "Write {COLUMN}.");
      }
      parts.parts.emplace_back(column_use(spec.substr(open + 1, close - open - 1), node));
      at = close + 1;
    }
    return parts;
  }

  /// A column, or a text with columns in it.
  TextTemplate key_template(const TomlValue& node) {
    const std::string spec = text(node, "a user's column");
    if (spec.empty()) fail(node, "the name of a column is empty", "Name a column of the file.");
    if (spec.find('{') != std::string::npos) return text_template(spec, node);
    TextTemplate one;
    one.parts.emplace_back(column_use(spec, node));
    return one;
  }

  Expression expression(const std::string& spec, const TomlValue& node, std::size_t skipped) {
    const auto resolver = [&](std::string_view name) -> std::optional<FieldMeaning> {
      return FieldMeaning{column(std::string(name), node), 0};
    };
    auto compiled = Expression::compile(spec, resolver, {});
    if (const auto* error = std::get_if<ExpressionError>(&compiled)) {
      fail(place_in_text(document_, node, skipped + error->offset), error->message,
           "See \"One expression grammar\" in tools/README.md.");
    }
    return std::move(std::get<Expression>(compiled));
  }

  ValueTemplate value_template(const TomlValue& node) {
    switch (node.kind) {
      case TomlKind::kText:
        if (node.text.starts_with('=')) return {expression(node.text.substr(1), node, 1)};
        return {column_use(node.text, node)};
      case TomlKind::kInteger:
      case TomlKind::kNumber:
        return {Datum::of(node.number)};
      case TomlKind::kBool:
        return {Datum::of(node.truth)};
      case TomlKind::kTable:
        return {members(node)};
      case TomlKind::kArray: {
        ValueTemplate::Elements elements;
        for (const TomlValue& element : node.elements) elements.push_back(value_template(element));
        return {std::move(elements)};
      }
      case TomlKind::kTime:
        break;
    }
    fail(node, "a date can't be a value here", "Name a column, or write a number, true or false.");
  }

  ValueTemplate::Members members(const TomlValue& table) {
    ValueTemplate::Members members;
    for (const TomlEntry& entry : table.entries) {
      members.push_back({entry.key, value_template(entry.value)});
    }
    return members;
  }

  void read_format(const TomlValue& root) {
    const TomlValue* format = root.find("format");
    if (format == nullptr) {
      fail(root, "the map has no format", "Set format = \"csv\" or format = \"jsonl\".");
    }
    const std::string name = text(*format, "format");
    constexpr std::array<std::string_view, 2> kFormats = {"csv", "jsonl"};
    if (name == "csv") {
      map_.format = ReplayMap::Format::kCsv;
    } else if (name == "jsonl") {
      map_.format = ReplayMap::Format::kJsonLines;
    } else {
      fail(*format, "unknown format \"" + name + "\"" + did_you_mean(name, kFormats),
           "A format is \"csv\" or \"jsonl\".");
    }
    const bool csv = map_.format == ReplayMap::Format::kCsv;
    if (const TomlValue* node = root.find("separator")) {
      const std::string separator = text(*node, "separator");
      if (!csv) fail(*node, "separator is for csv", "Remove it.");
      if (separator.size() != 1 || separator == "\"" || separator == "\n" || separator == "\r") {
        fail(*node, "separator is \"" + separator + "\"",
             "It is one byte, such as \",\", \";\" or \"\\t\".");
      }
      map_.separator = separator[0];
    }
    if (const TomlValue* node = root.find("columns")) {
      if (!csv) fail(*node, "columns is for csv", "Remove it.");
      if (node->kind != TomlKind::kArray || node->elements.empty()) {
        fail(*node, "columns is not a list of names", "Write columns = [\"a\", \"b\"].");
      }
      for (const TomlValue& name_node : node->elements) {
        map_.file_columns.push_back(text(name_node, "a column's name"));
      }
    }
    if (const TomlValue* node = root.find("each")) {
      if (csv) fail(*node, "each is for jsonl", "Remove it.");
      map_.each = text(*node, "each");
      if (map_.each.empty()) fail(*node, "each is empty", "Name the array's member.");
    }
  }

  void read_time(const TomlValue& root) {
    const TomlValue* node = root.find("time");
    if (node == nullptr) {
      fail(root, "the map names no time",
           "Set time = { column = \"COLUMN\", format = \"%Y-%m-%d %H:%M:%S\" }, or unit = \"s\".");
    }
    if (node->kind == TomlKind::kText) {
      map_.time = column_use(text(*node, "time"), *node);
      return;
    }
    const TomlValue* table = node;
    if (table->kind != TomlKind::kTable) {
      fail(*node, "time is not a table", "Write time = { column = \"COLUMN\", unit = \"s\" }.");
    }
    known_keys(*table, {"column", "format", "unit"});
    const TomlValue* column_node = table->find("column");
    if (column_node == nullptr) {
      fail(*table, "time names no column", "Write time = { column = \"COLUMN\", … }.");
    }
    map_.time = column_use(text(*column_node, "time's column"), *column_node);
    const TomlValue* format = table->find("format");
    const TomlValue* unit = table->find("unit");
    if (format != nullptr && unit != nullptr) {
      fail(*unit, "time has a format and a unit", "Keep the one that the file's times have.");
    }
    if (format != nullptr) {
      map_.time_unit = ReplayMap::TimeUnit::kFormat;
      map_.time_format = text(*format, "time's format");
      if (map_.time_format.find('%') == std::string::npos) {
        fail(*format, "time's format has no field", "Write it like \"%Y-%m-%d %H:%M:%S\".");
      }
    } else if (unit != nullptr) {
      const std::string name = text(*unit, "time's unit");
      if (name == "s") {
        map_.time_unit = ReplayMap::TimeUnit::kSeconds;
      } else if (name == "ms") {
        map_.time_unit = ReplayMap::TimeUnit::kMilliseconds;
      } else if (name == "us") {
        map_.time_unit = ReplayMap::TimeUnit::kMicroseconds;
      } else {
        fail(*unit, "unknown unit \"" + name + "\"", "A unit is \"s\", \"ms\" or \"us\".");
      }
    }
  }

  void read_id(const TomlValue& root) {
    const TomlValue* node = root.find("id");
    if (node == nullptr) return;
    if (node->kind != TomlKind::kArray || node->elements.empty()) {
      fail(*node, "id is not a list of columns", "Write id = [\"COLUMN\", \"#row\"].");
    }
    for (const TomlValue& part : node->elements) {
      const std::string name = text(part, "a part of id");
      if (name == "#row") {
        map_.id.emplace_back(ReplayMap::RowNumber{});
      } else if (name.starts_with('#')) {
        fail(part, "unknown part of id \"" + name + "\"", "It is a column's name or \"#row\".");
      } else {
        map_.id.emplace_back(column_use(name, part));
      }
    }
  }

  void read_events(const TomlValue& root) {
    const TomlValue* node = root.find("event");
    if (node == nullptr)
      fail(root, "the map makes no event", "Add an [[event]] with track = \"…\".");
    if (node->kind != TomlKind::kArray || node->elements.empty()) {
      fail(*node, "event is not a list", "Write [[event]] above each rule.");
    }
    for (const TomlValue& rule : node->elements) {
      if (rule.kind != TomlKind::kTable) {
        fail(rule, "event is not a list", "Write [[event]] above each rule.");
      }
      map_.events.push_back(read_rule(rule));
    }
  }

  ReplayMap::EventRule read_rule(const TomlValue& table) {
    known_keys(table, {"when", "track", "page", "screen", "group", "type", "properties", "traits",
                       "context"});
    ReplayMap::EventRule rule;
    if (const TomlValue* when = table.find("when")) {
      rule.when = expression(text(*when, "when"), *when, 0);
    }
    for (const char* call : {"track", "page", "screen", "group"}) {
      const TomlValue* name = table.find(call);
      if (name == nullptr) continue;
      if (!rule.type.empty()) {
        fail(*name, "one event is both " + rule.type + " and " + call, "Keep one of them.");
      }
      rule.type = call;
      rule.name = text_template(text(*name, call), *name);
      if (rule.name.empty()) fail(*name, std::string(call) + " has an empty name", "Name it.");
    }
    if (const TomlValue* type = table.find("type")) {
      const std::string name = text(*type, "type");
      if (name != "identify" || !rule.type.empty()) {
        fail(*type,
             rule.type.empty() ? "type is \"" + name + "\""
                               : "one event is both " + rule.type + " and " + name,
             "type is \"identify\"; the other calls are written track = \"NAME\", page, screen or "
             "group.");
      }
      rule.type = name;
    }
    if (rule.type.empty()) {
      fail(table, "the event has no call", "Add track = \"NAME\", or type = \"identify\".");
    }
    rule.properties = object(table, "properties");
    rule.traits = object(table, "traits");
    rule.context = object(table, "context");
    return rule;
  }

  ValueTemplate::Members object(const TomlValue& table, const char* key) {
    const TomlValue* node = table.find(key);
    if (node == nullptr) return {};
    if (node->kind != TomlKind::kTable) {
      fail(*node, std::string(key) + " is not a table",
           "Write " + std::string(key) + " = { name = \"COLUMN\" }.");
    }
    return members(*node);
  }

  std::string_view document_;
  ReplayMap map_;
};

}  // namespace

Result<ReplayMap> ReplayMap::parse(const std::string& text, const std::string& path) {
  const std::variant<TomlValue, TomlError> parsed = parse_toml(text);
  if (const auto* error = std::get_if<TomlError>(&parsed)) {
    return Error{path + ":" + std::to_string(error->place.line) + ":" +
                     std::to_string(error->place.column) + ": " + error->message,
                 0, "Correct the TOML there."};
  }
  try {
    return Parser(path, text).parse(std::get<TomlValue>(parsed));
  } catch (const Mistake& mistake) {
    return mistake.error;
  }
}

Result<ReplayMap> ReplayMap::load(const std::string& path) {
  std::ifstream file(path);
  if (!file) return system_error("open " + path, "Give the map's path with --map.");
  std::ostringstream text;
  text << file.rdbuf();
  return parse(text.str(), path);
}

}  // namespace deja
