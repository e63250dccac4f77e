#include "tools/replay/text_sender.h"

#include <simdjson.h>

#include <unistd.h>

#include <algorithm>

#include "tools/replay/http_client.h"

namespace deja {
namespace {

constexpr int kAttemptsMax = 10;

std::string text_of(simdjson::simdjson_result<simdjson::dom::element> member) {
  std::string_view text;
  return member.get(text) == simdjson::SUCCESS ? std::string(text) : std::string("unknown");
}

Result<TextAnswer> answer_of(const HttpReply& reply) {
  simdjson::dom::parser parser;
  simdjson::dom::element answer;
  if (parser.parse(reply.body).get(answer) != simdjson::SUCCESS) {
    return Error{"the answer " + std::to_string(reply.status) + " is no JSON", 0,
                 "Is --to the address of [listen] http?"};
  }
  TextAnswer told;
  told.ack_level = reply.ack;
  simdjson::dom::element why;
  simdjson::dom::array rejected;
  if (reply.status == 200) {
    told.taken = answer["rejected"].get(rejected) != simdjson::SUCCESS || rejected.size() == 0;
    if (told.taken) return told;
    why = rejected.at(0).value();
  } else if (answer["error"].get(why) != simdjson::SUCCESS ||
             (reply.status != 400 && reply.status != 413)) {
    return Error{"the appliance answered " + std::to_string(reply.status) + " " +
                     text_of(answer["error"]["code"]) + ": " + text_of(answer["error"]["message"]),
                 0, reply.status == 401 ? "Give the key with --write-key" : "See deja errors"};
  }
  told.code = text_of(why["code"]);
  std::string_view path;
  if (why["path"].get(path) == simdjson::SUCCESS) told.path = path;
  return told;
}

}  // namespace

Result<TextAnswer> send_text(const std::string& address, const std::string& write_key,
                             const std::string& route, const std::string& body) {
  HttpClient client(address, write_key);
  client.add_header("Deja-Dead-Letter: no");
  Error last;
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    if (attempt != 0) usleep(static_cast<useconds_t>(20'000 * (1 << std::min(attempt, 6))));
    Status sent = client.send(route, body);
    if (!sent.ok()) {
      last = sent.error();
      continue;
    }
    const auto reply = client.receive();
    if (reply.ok() && reply->status != 503 && reply->status != 429) return answer_of(*reply);
    last = reply.ok() ? Error{reply->status == 429 ? "the appliance limits our rate (429)"
                                                   : "the appliance has no room (503)",
                              0, "See deja stat"}
                      : reply.error();
    client.disconnect();
  }
  return last;
}

}  // namespace deja
