#include "tools/replay/event_json.h"

#include "shm/json_text.h"

namespace deja {
namespace {

void append_datum(std::string& out, const Datum& datum) {
  switch (datum.kind) {
    case Datum::Kind::kAbsent:
    case Datum::Kind::kNull:
      out += "null";
      return;
    case Datum::Kind::kBool:
      out += datum.truth ? "true" : "false";
      return;
    case Datum::Kind::kNumber:
      append_json_number(out, datum.number);
      return;
    case Datum::Kind::kText:
      append_json_text(out, datum.text);
      return;
    case Datum::Kind::kObject: {
      char before = '{';
      if (datum.members.empty()) out.push_back(before);
      for (const auto& [name, member] : datum.members) {
        out.push_back(before);
        before = ',';
        append_json_text(out, name);
        out.push_back(':');
        append_datum(out, member);
      }
      out.push_back('}');
      return;
    }
    case Datum::Kind::kArray: {
      char before = '[';
      if (datum.elements.empty()) out.push_back(before);
      for (const Datum& element : datum.elements) {
        out.push_back(before);
        before = ',';
        append_datum(out, element);
      }
      out.push_back(']');
      return;
    }
  }
}

void append_text_member(std::string& out, const char* name, const std::string& text) {
  if (text.empty()) return;
  out.append(",\"").append(name).append("\":");
  append_json_text(out, text);
}

void append_object_member(std::string& out, const char* name, const Datum& object) {
  if (object.members.empty()) return;
  out.append(",\"").append(name).append("\":");
  append_datum(out, object);
}

}  // namespace

void append_event_json(std::string& out, const ReplayEvent& event) {
  out += "{\"type\":";
  append_json_text(out, event.type);
  const char* name_key = event.type == "track" ? "event" : "name";
  if (event.type == "group") name_key = "groupId";
  append_text_member(out, name_key, event.name);
  append_text_member(out, "userId", event.user);
  append_text_member(out, "anonymousId", event.anonymous);
  append_text_member(out, "messageId", event.id);
  out += ",\"timestamp\":\"";
  append_instant(out, event.time_us);
  out.push_back('"');
  append_object_member(out, "properties", event.properties);
  append_object_member(out, "traits", event.traits);
  append_object_member(out, "context", event.context);
  out.push_back('}');
}

}  // namespace deja
