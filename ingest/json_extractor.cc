#include "ingest/json_extractor.h"

#include <charconv>
#include <cmath>

#include "ingest/json_scan.h"
#include "ingest/json_walk.h"
#include "ingest/refusal_codes.h"
#include "ingest/timestamp.h"

namespace deja {
namespace {

bool refused(Refusal& refusal, const char* reason, const char* message,
             std::string_view path = {}) {
  refuse(refusal, reason, message, path);
  return false;
}

bool refused(Refusal& refusal, const char* reason, const char* message, Known which) {
  return refused(refusal, reason, message, kKnownNames[static_cast<std::size_t>(which)]);
}

CallType call_of(std::string_view type) {
  if (type == "track") return CallType::kTrack;
  if (type == "page") return CallType::kPage;
  if (type == "screen") return CallType::kScreen;
  if (type == "group") return CallType::kGroup;
  if (type == "identify") return CallType::kIdentify;
  if (type == "alias") return CallType::kAlias;
  return CallType::kNone;
}

/// The text of a number used as an id. An integer keeps all its digits, however many: two ids must
/// not become one by rounding.
std::string_view id_of_number(const KnownValue& number, std::array<char, 32>& memory) {
  std::string_view token = number.token;
  while (!token.empty() && (token.back() == ' ' || token.back() == '\n' || token.back() == '\r' ||
                            token.back() == '\t')) {
    token.remove_suffix(1);
  }
  if (token.find_first_of(".eE") == std::string_view::npos) return token == "-0" ? "0" : token;
  const double value = number.value.number;
  const bool integral = std::abs(value) < 9007199254740992.0 && value == std::trunc(value);
  char* end = memory.data() + memory.size();
  const auto written = integral
                           ? std::to_chars(memory.data(), end, static_cast<std::int64_t>(value))
                           : std::to_chars(memory.data(), end, value);
  return {memory.data(), static_cast<std::size_t>(written.ptr - memory.data())};
}

bool read_id(const KnownValue& from, Known which, std::array<char, 32>& memory,
             std::string_view& id, Refusal& refusal) {
  if (from.is_missing()) return true;
  if (from.is_text()) {
    id = from.text();
  } else if (from.value.kind == ValueKind::kNumber) {
    id = id_of_number(from, memory);
  } else {
    return refused(refusal, code::kBadType, "an id must be a text or a number", which);
  }
  return true;
}

bool read_time(const KnownValue& from, Known which, bool& has, std::int64_t& time_us,
               Refusal& refusal) {
  if (from.is_missing()) return true;
  std::optional<std::int64_t> time;
  if (from.is_text()) time = parse_timestamp(from.text());
  if (from.value.kind == ValueKind::kNumber) time = timestamp_of_milliseconds(from.value.number);
  if (!time) {
    return refused(refusal, code::kBadTimestamp,
                   "a time is ISO 8601 or milliseconds since 1970, in the years 1970 to 9999",
                   which);
  }
  has = true;
  time_us = *time;
  return true;
}

}  // namespace

bool is_utf8_document(std::string_view text) {
  return simdjson::validate_utf8(text.data(), text.size());
}

JsonExtractor::JsonExtractor(const PathTrie& paths, std::uint32_t slot_count,
                             std::uint32_t key_bytes_max)
    : walk_(std::make_unique<Walk>(paths)),
      shared_(std::make_unique<Walk>(paths)),
      shared_values_(std::make_unique<Extraction>()),
      key_bytes_max_(key_bytes_max),
      slot_marks_(slot_count, 0) {
  shared_text_.reserve(kEventBytesMax + kJsonPaddingBytes);
}

JsonExtractor::~JsonExtractor() = default;

void JsonExtractor::share_nothing() {
  sharing_ = false;
}

bool JsonExtractor::share(std::string_view document, Refusal& refusal, std::string_view batch) {
  sharing_ = true;
  shared_values_->clear();
  // Copied without the batch itself, which may be longer than the parser's memory.
  shared_text_.assign("{");
  JsonCursor cursor{document.data(), document.data() + document.size()};
  bool more = cursor.take('{') && !cursor.take('}');
  while (more) {
    std::string_view name;
    std::string_view value;
    if (!scan_string(cursor, name) || !cursor.take(':')) {
      return refused(refusal, code::kBadJson, "this is not JSON");
    }
    cursor.skip_space();
    if (cursor.at == batch.data()) {
      cursor.at += batch.size();  // the most of the document
    } else if (!scan_value(cursor, value)) {
      return refused(refusal, code::kBadJson, "this is not JSON");
    }
    if (name != "batch" && name != "writeKey") {
      if (shared_text_.size() + name.size() + value.size() + 8 > kEventBytesMax) {
        return refused(refusal, code::kEventTooLarge,
                       "what a batch says for all its events is longer than 32 KB");
      }
      if (shared_text_.size() > 1) shared_text_ += ',';
      shared_text_.append("\"").append(name).append("\":").append(value);
    }
    more = cursor.take(',');
  }
  shared_text_ += '}';
  if (!shared_->object(shared_text_, *shared_values_, refusal)) return false;
  return read_time(shared_->at(Known::kSentAt), Known::kSentAt, shared_values_->has_sent_at,
                   shared_values_->sent_at_us, refusal) &&
         read_id(shared_->at(Known::kUserId), Known::kUserId, id_texts_[2], shared_values_->user_id,
                 refusal) &&
         read_id(shared_->at(Known::kAnonymousId), Known::kAnonymousId, id_texts_[3],
                 shared_values_->anonymous_id, refusal);
}

bool JsonExtractor::extract(std::string_view event, CallType route, Extraction& into,
                            Refusal& refusal) {
  into.clear();
  refusal.code = nullptr;
  if (event.empty() || event.front() != '{') {
    return refused(refusal, code::kBadType, "an event is a JSON object");
  }
  if (event.size() > kEventBytesMax) {
    return refused(refusal, code::kEventTooLarge, "an event is longer than 32 KB");
  }
  if (!walk_->object(event, into, refusal)) return false;

  const KnownValue& type = walk_->at(Known::kType);
  into.call = route;
  if (route == CallType::kNone) {
    if (type.is_missing()) {
      return refused(refusal, code::kMissingType, "an event in a batch needs a type", Known::kType);
    }
    into.call = type.is_text() ? call_of(type.text()) : CallType::kNone;
  }
  if (!type.is_missing() && !type.is_text()) {
    return refused(refusal, code::kBadType, "type must be a text", Known::kType);
  }
  if (into.call == CallType::kNone) {
    return refused(refusal, code::kUnknownType,
                   "type is track, page, screen, identify, group or alias", Known::kType);
  }

  if (!read_id(walk_->at(Known::kUserId), Known::kUserId, id_texts_[0], into.user_id, refusal) ||
      !read_id(walk_->at(Known::kAnonymousId), Known::kAnonymousId, id_texts_[1], into.anonymous_id,
               refusal)) {
    return false;
  }
  const KnownValue& message_id = walk_->at(Known::kMessageId);
  if (message_id.is_text()) {
    into.message_id = message_id.text();
  } else if (!message_id.is_missing()) {
    return refused(refusal, code::kBadType, "messageId must be a text", Known::kMessageId);
  }
  if (sharing_) {
    if (into.user_id.empty()) into.user_id = shared_values_->user_id;
    if (into.anonymous_id.empty()) into.anonymous_id = shared_values_->anonymous_id;
  }
  const bool known_user = !into.user_id.empty();
  const std::string_view key = known_user ? into.user_id : into.anonymous_id;
  if (key.empty()) {
    return refused(refusal, code::kMissingUser, "an event needs a userId or an anonymousId",
                   Known::kUserId);
  }
  if (key.size() > key_bytes_max_) {
    return refused(refusal, code::kKeyTooLong, "the id is longer than the profiles' keys may be",
                   known_user ? Known::kUserId : Known::kAnonymousId);
  }

  if (into.call == CallType::kTrack) {
    const KnownValue& name = walk_->at(Known::kEvent);
    if (!name.is_missing() && !name.is_text()) {
      return refused(refusal, code::kBadType, "event must be a text", Known::kEvent);
    }
    into.name = name.is_text() ? name.text() : std::string_view{};
    if (into.name.empty()) {
      return refused(refusal, code::kMissingEvent, "a track call needs the event's name",
                     Known::kEvent);
    }
  } else if (into.call == CallType::kPage || into.call == CallType::kScreen) {
    const KnownValue& name = walk_->at(Known::kName);
    if (!name.is_missing() && !name.is_text()) {
      return refused(refusal, code::kBadType, "name must be a text", Known::kName);
    }
    if (name.is_text()) into.name = name.text();
  } else if (into.call == CallType::kGroup) {
    const KnownValue& group = walk_->at(Known::kGroupId);
    if (group.value.kind == ValueKind::kNumber) {
      into.name = id_of_number(group, id_texts_[4]);
    } else if (group.is_text()) {
      into.name = group.text();
    } else if (!group.is_missing()) {
      return refused(refusal, code::kBadType, "an id must be a text or a number", Known::kGroupId);
    }
  }

  const bool own_time = !walk_->at(Known::kTimestamp).is_missing();
  const Known time = own_time ? Known::kTimestamp : Known::kOriginalTimestamp;
  if (!read_time(walk_->at(time), time, into.has_timestamp, into.timestamp_us, refusal) ||
      !read_time(walk_->at(Known::kSentAt), Known::kSentAt, into.has_sent_at, into.sent_at_us,
                 refusal)) {
    return false;
  }
  if (!sharing_) return true;
  if (!into.has_sent_at) {
    into.has_sent_at = shared_values_->has_sent_at;
    into.sent_at_us = shared_values_->sent_at_us;
  }
  if (shared_values_->captured_count == 0) return true;
  // A value that the event has itself wins over the batch's, slot by slot.
  if (++mark_ == 0) {
    std::fill(slot_marks_.begin(), slot_marks_.end(), 0);
    mark_ = 1;
  }
  for (std::uint32_t at = 0; at < into.captured_count; ++at) {
    slot_marks_[into.captured[at].slot] = mark_;
  }
  for (std::uint32_t at = 0; at < shared_values_->captured_count; ++at) {
    const CapturedValue& value = shared_values_->captured[at];
    if (slot_marks_[value.slot] == mark_) continue;
    if (!into.capture(value.slot, value.element, value.value)) {
      return refused(refusal, code::kTooManyValues,
                     "the event has more values of declared fields than fit");
    }
  }
  return true;
}

}  // namespace deja
