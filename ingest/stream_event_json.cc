#include "ingest/stream_event_json.h"

#include <cmath>

#include "ingest/extraction.h"
#include "ingest/recognizer.h"
#include "ingest/stream_event_layout.h"
#include "ingest/utf8.h"
#include "ring/rejected_event.h"
#include "shm/json_text.h"
#include "shm/value.h"

namespace deja {
namespace {

using namespace stream_event;

class Writer {
 public:
  Writer(const capnp_view::Message& message, std::string& out) : message_(message), out_(out) {}

  /// Every step writes at least a byte, so that the bound on what is written bounds the walk, too.
  bool write(const capnp_view::Struct& event) {
    out_ += '{';
    const auto call = event.get<std::uint16_t>(kCallByte);
    whole_ = call <= static_cast<std::uint16_t>(CallType::kAlias);
    const CallType type = whole_ ? static_cast<CallType>(call) : CallType::kNone;
    if (type != CallType::kNone) {
      name("type");
      out_.append("\"").append(type_of(type)).append("\"");
    }
    const char* name_member = type == CallType::kTrack ? "event" : "name";
    text_member(type == CallType::kGroup ? "groupId" : name_member, event.text(kName));
    text_member("userId", event.text(kUserId));
    text_member("anonymousId", event.text(kAnonymousId));
    text_member("messageId", event.text(kMessageId));
    const auto time_us = event.get<std::int64_t>(kTimestampByte);
    if (time_us != 0) {
      name("timestamp");
      write_time(time_us);
    }
    object_member("properties", event.list(kProperties));
    object_member("traits", event.list(kTraits));
    object_member("context", event.list(kContext));
    out_ += '}';
    return whole_ && out_.size() <= kRejectedTextMax && !message_.damaged();
  }

 private:
  static const char* type_of(CallType call) {
    return call == CallType::kAlias ? "alias" : call_name(call);
  }
  /// A time that JSON's instants can't name is left as the number that it is.
  void write_time(std::int64_t time_us) {
    constexpr std::int64_t kYear9999Us = 253'402'300'799'999'999;
    if (time_us < 0 || time_us > kYear9999Us) {
      out_ += std::to_string(time_us);
      return;
    }
    out_ += '"';
    append_instant(out_, time_us);
    out_ += '"';
  }
  [[nodiscard]] bool full() {
    const bool is_full = out_.size() >= kRejectedTextMax || message_.damaged();
    if (is_full) whole_ = false;
    return is_full;
  }
  void name(std::string_view text) {
    if (out_.back() != '{') out_ += ',';
    append_json_text(out_, text);
    out_ += ':';
  }
  /// Of a text no more than is kept; what JSON can't say becomes U+FFFD.
  void text(const capnp_view::Text& text) {
    if (text.size > kRejectedTextMax || !is_utf8({text.data, text.size})) whole_ = false;
    append_json_text(out_, {text.data, cut_text(text.data, text.size, kRejectedTextMax)});
  }
  void text_member(const char* member, const capnp_view::Text& content) {
    if (content.size == 0 || full()) return;
    name(member);
    text(content);
  }
  void object_member(const char* member, const capnp_view::List& members) {
    if (members.size() == 0 || full()) return;
    name(member);
    object(members, 2);
  }
  void object(const capnp_view::List& members, std::uint32_t depth) {
    out_ += '{';
    for (std::uint32_t at = 0; at < members.size() && !full(); ++at) {
      const capnp_view::Struct member = members[at];
      if (at != 0) out_ += ',';
      text(member.text(kMemberName));
      out_ += ':';
      content(member, depth);
    }
    out_ += '}';
  }
  void list(const capnp_view::List& elements, std::uint32_t depth) {
    out_ += '[';
    for (std::uint32_t at = 0; at < elements.size() && !full(); ++at) {
      if (at != 0) out_ += ',';
      content(elements[at], depth);
    }
    out_ += ']';
  }
  void content(const capnp_view::Struct& member, std::uint32_t depth) {
    const auto tag = member.get<std::uint16_t>(kMemberTagByte);
    const bool nested = tag == kList || tag == kObject;
    if (nested && depth > kDepthMax) {
      whole_ = false;
      out_ += "null";
      return;
    }
    switch (tag) {
      case kBoolean:
        out_ += member.get_bool(kMemberBooleanBit) ? "true" : "false";
        return;
      case kNumber:
        number(member.get<double>(kMemberNumberByte));
        return;
      case kText:
        text(member.text(kMemberContent));
        return;
      case kList:
        list(member.list(kMemberContent), depth + 1);
        return;
      case kObject:
        object(member.list(kMemberContent), depth + 1);
        return;
      default:
        whole_ = whole_ && tag == kNull;
        out_ += "null";
        return;
    }
  }
  void number(double value) {
    if (std::isfinite(value)) {
      append_json_number(out_, value);
    } else {
      whole_ = false;
      out_ += "null";
    }
  }

  const capnp_view::Message& message_;
  std::string& out_;
  bool whole_ = true;
};

}  // namespace

bool stream_event_json(const capnp_view::Message& message, const capnp_view::Struct& event,
                       std::string& out) {
  out.clear();
  return Writer(message, out).write(event);
}

}  // namespace deja
