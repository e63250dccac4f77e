// The recursive visit of one JSON object, for ingest/json_extractor.cc alone: captures declared
// values and notes the outermost members that have a meaning of their own.
#pragma once

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "ingest/extraction.h"
#include "ingest/json_extractor.h"
#include "ingest/path_trie.h"
#include "ingest/refusal_codes.h"
#include "shm/base/check.h"

namespace deja {

/// Members of the outermost object that are more than a value.
enum class Known : std::uint8_t {
  kType,
  kEvent,
  kName,
  kGroupId,
  kUserId,
  kAnonymousId,
  kMessageId,
  kTimestamp,
  kOriginalTimestamp,
  kSentAt,
  kOther
};
inline constexpr std::array<std::string_view, 10> kKnownNames = {
    "type",        "event",     "name",      "groupId",           "userId",
    "anonymousId", "messageId", "timestamp", "originalTimestamp", "sentAt"};

/// One of them as it was met. Absent: not there. An array or object is `is_container`.
struct KnownValue {
  Value value;
  std::string_view token;  ///< of a number: as written
  bool is_container = false;

  [[nodiscard]] bool is_missing() const {
    return !is_container && (value.kind == ValueKind::kAbsent || value.kind == ValueKind::kNull);
  }
  [[nodiscard]] bool is_text() const { return value.kind == ValueKind::kText; }
  [[nodiscard]] std::string_view text() const { return {value.text, value.text_bytes}; }
};

struct JsonExtractor::Walk {
  explicit Walk(const PathTrie& declared) : paths(declared) {
    seen.reserve(256);
    // Room for the longest event, so that iterate() never allocates.
    CHECK(parser.allocate(kEventBytesMax, kDepthMax + 2) == simdjson::SUCCESS);
  }

  using JsonValue = simdjson::ondemand::value;

  /// Visits the object in `text`; fills `into`'s captures and `known`.
  bool object(std::string_view text, Extraction& into, Refusal& refusal) {
    extraction = &into;
    fault = &refusal;
    depth = 0;
    seen.clear();
    known.fill({});
    simdjson::ondemand::document document;
    const simdjson::padded_string_view padded(text.data(), text.size(),
                                              text.size() + kJsonPaddingBytes);
    if (const auto error = parser.iterate(padded).get(document)) return fail(error);
    simdjson::ondemand::object outermost;
    if (const auto error = document.get_object().get(outermost)) return fail(error);
    return members(outermost, paths.root(), 0);
  }

  [[nodiscard]] const KnownValue& at(Known which) const {
    return known[static_cast<std::size_t>(which)];
  }

  /// Refuses with the path of where the walk stands.
  bool fail(const char* reason, const char* message) {
    fault->code = reason;
    fault->message = message;
    std::size_t used = 0;
    const auto append = [&](std::string_view part) {
      if (part.empty()) return;
      const std::size_t room = sizeof fault->path - 1 - used;
      const std::size_t bytes = cut_text(part.data(), static_cast<std::uint32_t>(part.size()),
                                         static_cast<std::uint32_t>(room));
      std::memcpy(fault->path + used, part.data(), bytes);
      used += bytes;
    };
    for (std::uint32_t step = 0; step < depth; ++step) {
      if (steps[step].index < 0) {
        if (step != 0) append(".");
        append(steps[step].name);
      } else {
        char digits[16];
        const int size = std::snprintf(digits, sizeof digits, "[%d]", steps[step].index);
        append({digits, static_cast<std::size_t>(size)});
      }
    }
    fault->path[used] = '\0';
    return false;
  }

  simdjson::ondemand::parser parser;
  const PathTrie& paths;
  std::array<KnownValue, kKnownNames.size()> known;

 private:
  struct Step {
    std::string_view name;
    std::int32_t index = -1;  // >= 0: of an array's element
  };
  /// A declared member of an object that is being visited, and what was captured under it.
  struct Seen {
    PathTrie::Node node;
    std::uint32_t begin;
    std::uint32_t end;
  };

  bool fail(simdjson::error_code error) {
    switch (error) {
      case simdjson::NUMBER_ERROR:
        return fail(code::kBadNumber, "a number is not written as JSON has it, or is too large");
      case simdjson::STRING_ERROR:
        return fail(code::kBadJson, "a string has a broken escape");
      case simdjson::UNESCAPED_CHARS:
        return fail(code::kBadJson, "a string has a control character that is not escaped");
      case simdjson::UTF8_ERROR:
        return fail(code::kBadUtf8, "the text is not UTF-8");
      default:
        return fail(code::kBadJson, "this is not JSON");
    }
  }

  /// Refuses an object's member that has no name to call it by: the path is the object's. Else it
  /// would be the member before.
  bool fail_within(std::uint32_t object_depth, simdjson::error_code error) {
    depth = object_depth;
    return fail(error);
  }

  static Known known_of(std::string_view name) {
    const auto* found = std::find(kKnownNames.begin(), kKnownNames.end(), name);
    return static_cast<Known>(found - kKnownNames.begin());
  }

  bool members(simdjson::ondemand::object& object, PathTrie::Node node, std::uint16_t element) {
    if (depth == kDepthMax) return fail(code::kTooDeep, "objects and arrays are nested too deeply");
    const std::size_t first_seen = seen.size();
    const std::uint32_t step = depth++;
    steps[step] = {};
    for (auto result : object) {
      simdjson::ondemand::field field;
      if (const auto error = std::move(result).get(field)) return fail_within(step, error);
      std::string_view name;
      if (const auto error = field.unescaped_key().get(name)) return fail_within(step, error);
      steps[step].name = name;
      const PathTrie::Node child = paths.member(node, name);
      const Known which = step == 0 ? known_of(name) : Known::kOther;
      if (child != PathTrie::kNowhere) forget_earlier(first_seen, child);
      const std::uint32_t begin = extraction->captured_count;
      if (!value(field.value(), child, element, which)) return false;
      if (child != PathTrie::kNowhere) seen.push_back({child, begin, extraction->captured_count});
    }
    seen.resize(first_seen);
    --depth;
    return true;
  }

  bool elements(simdjson::ondemand::array& array, PathTrie::Node node, std::uint16_t element) {
    if (depth == kDepthMax) return fail(code::kTooDeep, "objects and arrays are nested too deeply");
    const PathTrie::Node child = paths.elements(node);
    const std::uint32_t step = depth++;
    steps[step] = {};
    std::uint32_t count = 0;
    for (auto result : array) {
      steps[step].index = static_cast<std::int32_t>(count);
      if (count == kArrayElementsMax) {
        return fail(code::kTooManyElements, "an array has more than 1024 elements");
      }
      JsonValue item;
      if (const auto error = std::move(result).get(item)) return fail(error);
      const auto number = child == PathTrie::kNowhere ? element : static_cast<std::uint16_t>(count);
      if (!value(item, child, number, Known::kOther)) return false;
      ++count;
    }
    --depth;
    return true;
  }

  bool value(JsonValue item, PathTrie::Node node, std::uint16_t element, Known which) {
    simdjson::ondemand::json_type type{};
    if (const auto error = item.type().get(type)) return fail(error);
    // Put together here and stored once: a copy of what has just been written waits for it.
    ValueKind kind = ValueKind::kAbsent;
    double number = 0;
    std::string_view text;
    std::string_view token;
    bool is_container = false;
    switch (type) {
      case simdjson::ondemand::json_type::object: {
        simdjson::ondemand::object object;
        if (const auto error = item.get_object().get(object)) return fail(error);
        is_container = true;
        if (!members(object, node, element)) return false;
        break;
      }
      case simdjson::ondemand::json_type::array: {
        simdjson::ondemand::array array;
        if (const auto error = item.get_array().get(array)) return fail(error);
        is_container = true;
        if (!elements(array, node, element)) return false;
        break;
      }
      case simdjson::ondemand::json_type::string: {
        if (const auto error = item.get_string().get(text)) return fail(error);
        kind = ValueKind::kText;
        break;
      }
      case simdjson::ondemand::json_type::number: {
        token = item.raw_json_token();
        if (item.get_double().get(number) != simdjson::SUCCESS) {
          return fail(simdjson::NUMBER_ERROR);
        }
        kind = ValueKind::kNumber;
        break;
      }
      case simdjson::ondemand::json_type::boolean: {
        bool truth = false;
        if (const auto error = item.get_bool().get(truth)) return fail(error);
        kind = ValueKind::kBool;
        number = truth ? 1 : 0;
        break;
      }
      case simdjson::ondemand::json_type::null: {
        bool null = false;
        if (item.is_null().get(null) != simdjson::SUCCESS || !null) {
          return fail(code::kBadJson, "this is not JSON");
        }
        kind = ValueKind::kNull;
        break;
      }
    }
    const Value met{kind, number, text.data(), static_cast<std::uint32_t>(text.size())};
    if (which != Known::kOther) {
      known[static_cast<std::size_t>(which)] = {met, token, is_container};
    }
    const std::uint16_t slot = paths.slot(node);
    if (slot != PathTrie::kNoSlot && !is_container && !extraction->capture(slot, element, met)) {
      return fail(code::kTooManyValues, "the event has more values of declared fields than fit");
    }
    return true;
  }

  /// The member at `node` is there again: what was captured under the earlier one is void.
  void forget_earlier(std::size_t first_seen, PathTrie::Node node) {
    for (std::size_t at = first_seen; at < seen.size(); ++at) {
      if (seen[at].node != node) continue;
      const Seen gone = seen[at];
      const auto captured = extraction->captured.begin();
      std::move(captured + gone.end, captured + extraction->captured_count, captured + gone.begin);
      extraction->captured_count -= gone.end - gone.begin;
      seen.erase(seen.begin() + static_cast<std::ptrdiff_t>(at));
      for (; at < seen.size(); ++at) {
        seen[at].begin -= gone.end - gone.begin;
        seen[at].end -= gone.end - gone.begin;
      }
      return;
    }
  }

  Extraction* extraction = nullptr;
  Refusal* fault = nullptr;
  std::uint32_t depth = 0;
  std::array<Step, kDepthMax + 1> steps;
  std::vector<Seen> seen;
};

}  // namespace deja
