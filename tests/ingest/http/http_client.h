// HTTP in one process: an HttpConnection with no socket, fed with bytes in any cuts, its answers
// taken apart by a plain reader of the test's own. Test code; one thread.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ingest/http_connection.h"
#include "shm/base/check.h"

namespace deja {

struct ReadAnswer {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

/// Answers in `bytes`; stops at what is not a whole one. "100 Continue" is an answer too.
[[nodiscard]] inline std::vector<ReadAnswer> read_answers(std::string_view bytes,
                                                          bool to_head = false) {
  std::vector<ReadAnswer> answers;
  while (bytes.starts_with("HTTP/1.1 ")) {
    const std::size_t end = bytes.find("\r\n\r\n");
    if (end == std::string_view::npos) break;
    ReadAnswer answer;
    answer.status = std::atoi(std::string(bytes.substr(9, 3)).c_str());
    std::string_view lines = bytes.substr(0, end + 2);
    lines.remove_prefix(lines.find("\r\n") + 2);
    while (!lines.empty()) {
      const std::string_view line = lines.substr(0, lines.find("\r\n"));
      std::string name(line.substr(0, line.find(": ")));
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      CHECK(!answer.headers.contains(name));
      answer.headers[name] = line.substr(line.find(": ") + 2);
      lines.remove_prefix(line.size() + 2);
    }
    bytes.remove_prefix(end + 4);
    if (answer.headers.contains("content-length") && !to_head) {
      const auto length = std::stoul(answer.headers["content-length"]);
      if (bytes.size() < length) break;
      answer.body = bytes.substr(0, length);
      bytes.remove_prefix(length);
    }
    answers.push_back(std::move(answer));
  }
  return answers;
}

class HttpClient final : public ConnectionOutput {
 public:
  explicit HttpClient(HttpService& service, const HttpLimits& limits = {})
      : connection_(service, limits) {
    connection_.on_open(*this);
  }
  ~HttpClient() override { connection_.on_close(); }

  void write(std::span<const std::uint8_t> bytes) override {
    sent_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  [[nodiscard]] std::size_t unsent_bytes() const override { return unsent_; }

  /// Gives the connection bytes, `piece` at a time; 0: all at once.
  Next send(std::string_view bytes, std::size_t piece = 0, std::int64_t now_us = kNowUs) {
    if (piece == 0) piece = std::max<std::size_t>(bytes.size(), 1);
    for (; !bytes.empty() && !closed(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
      const std::string_view part = bytes.substr(0, piece);
      last_ = connection_.on_receive(
          {reinterpret_cast<const std::uint8_t*>(part.data()), part.size()}, now_us);
    }
    return last_;
  }
  Next pass(std::int64_t now_us = kNowUs) {
    if (!closed() && connection_.busy()) last_ = connection_.on_pass(now_us);
    return last_;
  }
  Next end() { return last_ = connection_.on_end(); }
  [[nodiscard]] bool closed() const { return last_ == Next::kClose || last_ == Next::kAbort; }
  [[nodiscard]] bool paused() const { return last_ == Next::kPause; }
  [[nodiscard]] bool busy() const { return connection_.busy(); }
  [[nodiscard]] const std::string& bytes() const { return sent_; }
  [[nodiscard]] std::vector<ReadAnswer> answers(bool to_head = false) const {
    return read_answers(sent_, to_head);
  }
  void set_unsent(std::size_t bytes) { unsent_ = bytes; }

  static constexpr std::int64_t kNowUs = 1'795'206'354'000'000;  // 2026-11-20T20:25:54Z

 private:
  HttpConnection connection_;
  std::string sent_;
  std::size_t unsent_ = 0;
  Next last_ = Next::kReceive;
};

}  // namespace deja
