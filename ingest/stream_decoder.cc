#include "ingest/stream_decoder.h"

#include <cmath>
#include <cstdio>

#include "ingest/refusal_codes.h"
#include "ingest/stream_event_layout.h"
#include "ingest/utf8.h"
#include "shm/value.h"

namespace deja {
namespace {

using namespace stream_event;

constexpr std::uint32_t kEventStructBytes = 9 * 8;
constexpr std::uint32_t kMemberStructBytes = 4 * 8;
constexpr std::uint32_t kMemberContentBytes = 8;

std::string_view view_of(const capnp_view::Text& text) {
  return {text.data, text.size};
}

}  // namespace

// One step of the way from the event to where the walk is.
struct StreamDecoder::Step {
  const Step* parent = nullptr;
  std::string_view name;
  std::uint32_t index = 0;
  bool is_element = false;
};

struct StreamDecoder::Walk {
  const PathTrie& paths;
  const capnp_view::Message& message;
  Budget& budget;
  Extraction& extraction;
  Refusal& refusal;
  std::uint64_t content_left = kEventBytesMax;

  bool fail(const char* refusal_code, const char* sentence, const Step* where) {
    refuse(refusal, refusal_code, sentence);
    const Step* steps[kDepthMax + 4];
    std::size_t count = 0;
    for (const Step* step = where; step != nullptr && count < std::size(steps);
         step = step->parent) {
      steps[count++] = step;
    }
    char* at = refusal.path;
    const auto room = [&] {
      return static_cast<std::uint32_t>(refusal.path + sizeof refusal.path - 1 - at);
    };
    while (count-- != 0) {
      const Step& step = *steps[count];
      if (step.is_element) {
        char number[16];
        const int bytes = std::snprintf(number, sizeof number, "[%u]", step.index);
        if (bytes < 0 || static_cast<std::uint32_t>(bytes) > room()) break;
        std::memcpy(at, number, static_cast<std::size_t>(bytes));
        at += bytes;
        continue;
      }
      if (at != refusal.path && room() != 0) *at++ = '.';
      const auto size = static_cast<std::uint32_t>(step.name.size());
      const std::uint32_t shown = cut_text(step.name.data(), size, room());
      std::memcpy(at, step.name.data(), shown);
      at += shown;
      if (shown != size) break;
    }
    *at = '\0';
    return false;
  }

  // Pays for bytes of the frame that are about to be looked at, and for content of the event.
  bool pay(std::uint64_t frame_bytes, std::uint64_t content_bytes, const Step* where) {
    if (frame_bytes > budget.bytes_left) {
      budget.bytes_left = 0;
      return fail(code::kBadMessage, "the message points to the same bytes again and again", where);
    }
    budget.bytes_left -= frame_bytes;
    if (content_bytes > content_left) {
      return fail(code::kEventTooLarge, "an event may be 32 KiB long", where);
    }
    content_left -= content_bytes;
    return true;
  }

  bool take_text(const capnp_view::Text& text, std::string_view& into, const Step* where) {
    if (message.damaged()) return fail(code::kBadMessage, "not a Cap'n Proto event", where);
    if (!pay(text.size, text.size, where)) return false;
    into = view_of(text);
    if (!is_utf8(into)) return fail(code::kBadUtf8, "the text is not UTF-8", where);
    return true;
  }

  bool capture(PathTrie::Node node, std::uint32_t element, const Value& value, const Step* where) {
    const std::uint16_t slot = paths.slot(node);
    if (slot == PathTrie::kNoSlot) return true;
    if (extraction.capture(slot, static_cast<std::uint16_t>(element), value)) return true;
    return fail(code::kTooManyValues, "the event has too many values of declared fields", where);
  }

  bool take_member(const capnp_view::Struct& member, PathTrie::Node node, std::uint32_t element,
                   std::uint32_t depth, const Step* where) {
    switch (member.get<std::uint16_t>(kMemberTagByte)) {
      case kNull:
        return capture(node, element, Value{ValueKind::kNull, 0, nullptr, 0}, where);
      case kBoolean: {
        const double number = member.get_bool(kMemberBooleanBit) ? 1 : 0;
        return capture(node, element, Value{ValueKind::kBool, number, nullptr, 0}, where);
      }
      case kNumber: {
        const auto number = member.get<double>(kMemberNumberByte);
        if (!std::isfinite(number)) return fail(code::kBadNumber, "not a finite number", where);
        return capture(node, element, Value::of(number), where);
      }
      case kText: {
        std::string_view text;
        if (!take_text(member.text(kMemberContent), text, where)) return false;
        const auto size = static_cast<std::uint32_t>(text.size());
        return capture(node, element, Value::of(text.data(), size), where);
      }
      case kList:
        return walk_list(member.list(kMemberContent), node, depth + 1, where);
      case kObject:
        return walk_object(member.list(kMemberContent), node, element, depth + 1, where);
      default:
        return fail(code::kBadType, "a member of a kind that this version does not know", where);
    }
  }

  bool may_enter(const capnp_view::List& members, std::uint32_t depth, const Step* where) {
    if (message.damaged()) return fail(code::kBadMessage, "not a Cap'n Proto event", where);
    if (depth > kDepthMax) return fail(code::kTooDeep, "nested too deeply", where);
    const std::uint64_t count = members.size();
    return pay(count * kMemberStructBytes, count * kMemberContentBytes, where);
  }

  bool walk_object(const capnp_view::List& members, PathTrie::Node node, std::uint32_t element,
                   std::uint32_t depth, const Step* where) {
    if (!may_enter(members, depth, where)) return false;
    for (std::uint32_t at = 0; at < members.size(); ++at) {
      const capnp_view::Struct member = members[at];
      Step step{where, {}, 0, false};
      if (!take_text(member.text(kMemberName), step.name, where)) return false;
      if (!take_member(member, paths.member(node, step.name), element, depth, &step)) return false;
    }
    return true;
  }

  bool walk_list(const capnp_view::List& members, PathTrie::Node node, std::uint32_t depth,
                 const Step* where) {
    if (!may_enter(members, depth, where)) return false;
    const PathTrie::Node elements = paths.elements(node);
    if (members.size() > kElementCountMax) {
      const Step beyond{where, {}, kElementCountMax, true};
      return fail(code::kTooManyElements, "an array has more than 1024 elements", &beyond);
    }
    for (std::uint32_t at = 0; at < members.size(); ++at) {
      const Step step{where, {}, at, true};
      if (!take_member(members[at], elements, at, depth, &step)) return false;
    }
    return true;
  }
};

// The way of nearly every event. Whatever it would have to say no to, Walk says, who knows why.
struct StreamDecoder::UsualWalk {
  const PathTrie& paths;
  const UsualEvents& events;
  Extraction& extraction;
  std::uint64_t frame_left;
  std::uint64_t content_left = kEventBytesMax;

  bool pay(std::uint64_t frame_bytes, std::uint64_t content_bytes) {
    if (frame_bytes > frame_left || content_bytes > content_left) return false;
    frame_left -= frame_bytes;
    content_left -= content_bytes;
    return true;
  }
  bool text(std::uint32_t pointer, std::string_view& into) {
    return events.text(pointer, into) && pay(into.size(), into.size());
  }
  bool capture(PathTrie::Node node, std::uint32_t element, const Value& value) {
    const std::uint16_t slot = paths.slot(node);
    return slot == PathTrie::kNoSlot ||
           extraction.capture(slot, static_cast<std::uint16_t>(element), value);
  }
  bool member(std::uint32_t at, PathTrie::Node node, std::uint32_t element, std::uint32_t depth) {
    constexpr std::uint32_t kContent = UsualEvents::kDataWords + kMemberContent;
    switch (events.get<std::uint16_t>(at, kMemberTagByte)) {
      case kNull:
        return capture(node, element, Value{ValueKind::kNull, 0, nullptr, 0});
      case kBoolean: {
        const auto bits = events.get<std::uint8_t>(at, kMemberBooleanBit / 8);
        const double number = (bits >> (kMemberBooleanBit % 8) & 1U) != 0 ? 1 : 0;
        return capture(node, element, Value{ValueKind::kBool, number, nullptr, 0});
      }
      case kNumber: {
        const auto number = events.get<double>(at, kMemberNumberByte);
        return std::isfinite(number) && capture(node, element, Value::of(number));
      }
      case kText: {
        std::string_view content;
        return text(at + kContent, content) &&
               capture(node, element,
                       Value::of(content.data(), static_cast<std::uint32_t>(content.size())));
      }
      case kList:
        return list(at + kContent, node, depth + 1);
      case kObject:
        return object(at + kContent, node, element, depth + 1);
      default:
        return false;
    }
  }
  bool enter(std::uint32_t pointer, std::uint32_t depth, UsualEvents::Elements& members) {
    return events.members(pointer, members) && depth <= kDepthMax &&
           pay(std::uint64_t{members.count} * kMemberStructBytes,
               std::uint64_t{members.count} * kMemberContentBytes);
  }
  bool object(std::uint32_t pointer, PathTrie::Node node, std::uint32_t element,
              std::uint32_t depth) {
    UsualEvents::Elements members;
    if (!enter(pointer, depth, members)) return false;
    std::uint32_t at = members.at;
    for (; members.count != 0; --members.count, at += UsualEvents::kMemberWords) {
      std::string_view name;
      if (!text(at + UsualEvents::kDataWords + kMemberName, name)) return false;
      if (!member(at, paths.member(node, name), element, depth)) return false;
    }
    return true;
  }
  bool list(std::uint32_t pointer, PathTrie::Node node, std::uint32_t depth) {
    UsualEvents::Elements members;
    if (!enter(pointer, depth, members) || members.count > kElementCountMax) return false;
    const PathTrie::Node elements = paths.elements(node);
    for (std::uint32_t index = 0; index < members.count; ++index) {
      const std::uint32_t at = members.at + index * UsualEvents::kMemberWords;
      if (!member(at, elements, index, depth)) return false;
    }
    return true;
  }
};

bool StreamDecoder::decode_usual(const UsualEvents& events, std::uint32_t index,
                                 std::int64_t sent_at_us, Budget& budget,
                                 Extraction& extraction) const {
  if (index >= events.count()) return false;
  const std::uint32_t at = events.event(index);
  const auto call = events.get<std::uint16_t>(at, kCallByte);
  if (call > static_cast<std::uint16_t>(CallType::kAlias)) return false;
  extraction.clear();
  extraction.call = static_cast<CallType>(call);
  extraction.timestamp_us = events.get<std::int64_t>(at, kTimestampByte);
  extraction.has_timestamp = extraction.timestamp_us != 0;
  extraction.sent_at_us = sent_at_us;
  extraction.has_sent_at = sent_at_us != 0;
  UsualWalk walk{paths_, events, extraction, budget.bytes_left};
  const std::uint32_t pointers = at + UsualEvents::kDataWords;
  const bool done = walk.pay(kEventStructBytes, 0) &&
                    walk.text(pointers + kName, extraction.name) &&
                    walk.text(pointers + kUserId, extraction.user_id) &&
                    walk.text(pointers + kAnonymousId, extraction.anonymous_id) &&
                    walk.text(pointers + kMessageId, extraction.message_id) &&
                    walk.object(pointers + kProperties, properties_, 0, 2) &&
                    walk.object(pointers + kTraits, traits_, 0, 2) &&
                    walk.object(pointers + kContext, context_, 0, 2);
  if (done) budget.bytes_left = walk.frame_left;
  return done;
}

bool StreamDecoder::decode(const capnp_view::Message& message, const capnp_view::Struct& event,
                           std::int64_t sent_at_us, Budget& budget, Extraction& extraction,
                           Refusal& refusal) {
  extraction.clear();
  Walk walk{paths_, message, budget, extraction, refusal};
  if (!walk.pay(kEventStructBytes, 0, nullptr)) return false;
  const auto call = event.get<std::uint16_t>(kCallByte);
  if (call > static_cast<std::uint16_t>(CallType::kAlias)) {
    const Step step{nullptr, "call", 0, false};
    return walk.fail(code::kUnknownType, "a call that this version does not know", &step);
  }
  extraction.call = static_cast<CallType>(call);  // the same numbers: checked by a test
  extraction.timestamp_us = event.get<std::int64_t>(kTimestampByte);
  extraction.has_timestamp = extraction.timestamp_us != 0;
  extraction.sent_at_us = sent_at_us;
  extraction.has_sent_at = sent_at_us != 0;
  const auto text = [&](Pointer pointer, std::string_view name, std::string_view& into) {
    const Step step{nullptr, name, 0, false};
    return walk.take_text(event.text(pointer), into, &step);
  };
  const auto object = [&](Pointer pointer, std::string_view name, PathTrie::Node node) {
    const Step step{nullptr, name, 0, false};
    return walk.walk_object(event.list(pointer), node, 0, 2, &step);
  };
  return text(kName, "name", extraction.name) && text(kUserId, "userId", extraction.user_id) &&
         text(kAnonymousId, "anonymousId", extraction.anonymous_id) &&
         text(kMessageId, "messageId", extraction.message_id) &&
         object(kProperties, "properties", properties_) && object(kTraits, "traits", traits_) &&
         object(kContext, "context", context_);
}

}  // namespace deja
