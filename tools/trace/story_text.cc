#include "tools/trace/story_text.h"

#include <string_view>

#include "shm/json_text.h"
#include "tools/dlq/printable.h"

namespace deja {
namespace {

constexpr std::size_t kJsonBytesUsual = 1024;

std::string_view call_name(std::uint8_t call) {
  constexpr std::string_view kCalls[] = {"",      "track",    "page", "screen",
                                         "group", "identify", "alias"};
  return call < std::size(kCalls) ? kCalls[call] : kCalls[0];
}

void append_instant_of(std::string& out, const Story& story, std::int64_t at_ns) {
  append_instant(out, (at_ns + story.wall_offset_ns) / 1000);
}

std::string duration_of(std::int64_t from_ns, std::int64_t until_ns) {
  return human_ns(static_cast<std::uint64_t>(until_ns - from_ns));
}

/// "applied, shard 3 #17" and what else there is to say of its end.
std::string end_of(const Story& story) {
  std::string text = outcome_of(story);
  if (const std::string code = code_of(story); !code.empty()) text += " (" + printable(code) + ")";
  if (story.worker_mark && story.worker_mark->sequence != 0) {
    text += ", shard " + std::to_string(story.worker_mark->shard) + " #" +
            std::to_string(story.worker_mark->sequence);
  }
  return text;
}

std::string detail_of(const Story& story, std::string_view stage) {
  if (stage == "published") {
    return "ring-" + std::to_string(story.ring) + "-" + std::to_string(story.worker);
  }
  if (stage == "taken") return "worker-" + std::to_string(story.worker);
  if (stage == "answered") {
    return std::string_view(ack_of(story)).empty() ? "refused" : ack_of(story);
  }
  return "";
}

void append_member(std::string& out, const char* name, std::string_view text) {
  out.append(",\"").append(name).append("\":");
  append_json_text(out, text);
}

void append_member(std::string& out, const char* name, std::uint64_t number) {
  out.append(",\"").append(name).append("\":").append(std::to_string(number));
}

}  // namespace

std::string story_text(const Story& story, const Style& style) {
  const std::string name = printable(std::string(text_of(story.slot.name)));
  const std::string id = printable(std::string(text_of(story.slot.message_id)));
  std::string title(call_name(story.slot.call));
  if (!name.empty()) title += (title.empty() ? "" : " ") + name;
  if (title.empty()) title = "an event";
  std::string text = style.bold + title + style.plain + ": " + end_of(story) + "\n";
  if (!id.empty()) text += "  message " + id + "\n";
  text += "  trace " + hex_word(story.trace_high) + hex_word(story.trace_low) +
          (story.slot.parent != 0 ? " (the client's)" : "") + "\n";
  const std::vector<Stage> stages = stages_of(story);
  for (std::size_t at = 0; at < stages.size(); ++at) {
    const Stage& stage = stages[at];
    text += "  " + padded(stage.name, 11);
    if (at == 0) {
      append_instant_of(text, story, stage.at_ns);
    } else {
      text += padded("+" + duration_of(stages[at - 1].at_ns, stage.at_ns), 12);
    }
    text += detail_of(story, stage.name);
    while (text.ends_with(' ')) text.pop_back();
    text += "\n";
  }
  if (!stages.empty()) {
    text += std::string("  ") + style.dim + duration_of(stages.front().at_ns, stages.back().at_ns) +
            " in all" + (story.whole ? "" : ", as far as it went") + style.plain + "\n";
  }
  return text;
}

std::string story_json(const Story& story) {
  std::string out;
  out.reserve(kJsonBytesUsual);
  out.append("{\"trace\":\"").append(hex_word(story.trace_high)).append(hex_word(story.trace_low));
  out += '"';
  if (story.slot.parent != 0) append_member(out, "parent", hex_word(story.slot.parent));
  append_member(out, "call", call_name(story.slot.call));
  append_member(out, "event", text_of(story.slot.name));
  append_member(out, "message_id", text_of(story.slot.message_id));
  append_member(out, "user_hash", hex_word(story.slot.user_hash));
  append_member(out, "outcome", outcome_of(story));
  append_member(out, "code", code_of(story));
  append_member(out, "ack", ack_of(story));
  append_member(out, "ring", story.ring);
  if (story.placed) append_member(out, "worker", story.worker);
  if (story.worker_mark && story.worker_mark->sequence != 0) {
    append_member(out, "shard", story.worker_mark->shard);
    append_member(out, "sequence", story.worker_mark->sequence);
  }
  out.append(",\"whole\":").append(story.whole ? "true" : "false").append(",\"stages\":[");
  const std::vector<Stage> stages = stages_of(story);
  for (std::size_t at = 0; at < stages.size(); ++at) {
    out.append(at == 0 ? "{\"stage\":" : ",{\"stage\":");
    append_json_text(out, stages[at].name);
    out += ",\"at\":\"";
    append_instant_of(out, story, stages[at].at_ns);
    out += '"';
    append_member(out, "since_received_ns",
                  static_cast<std::uint64_t>(stages[at].at_ns - stages.front().at_ns));
    out += '}';
  }
  out.append("]}");
  return out;
}

}  // namespace deja
