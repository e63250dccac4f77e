#include "tools/trace/otlp_exporter.h"

#include <signal.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <utility>

#include "shm/base/clock.h"

namespace deja {
namespace {

constexpr int kPatienceS = 10;  // OTLP exporters' own default
constexpr std::int64_t kGatherNs = 200'000'000;
constexpr std::int64_t kFinishNs = 5'000'000'000;
constexpr std::int64_t kPauseMinNs = 100'000'000;
constexpr std::int64_t kPauseMaxNs = 5'000'000'000;
constexpr int kRetryAfterMaxS = 60;

bool worth_another_try(int status) {
  return status == 429 || status == 502 || status == 503 || status == 504;
}

std::uint64_t spans_of(const std::vector<Story>& batch) {
  std::uint64_t count = 0;
  for (const Story& story : batch) count += span_count_of(story);
  return count;
}

/// A thread that no signal is meant for: those end the other one's sleep.
template <typename Body>
std::thread deaf_thread(Body body) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread made(std::move(body));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return made;
}

}  // namespace

std::uint64_t rejected_spans_of(std::string_view body) {
  constexpr std::string_view kMember = "\"rejectedSpans\"";
  std::size_t at = body.find(kMember);
  if (at == std::string_view::npos) return 0;
  at = body.find_first_not_of(" \t\r\n:\"", at + kMember.size());
  if (at == std::string_view::npos) return 0;
  std::uint64_t count = 0;
  (void)std::from_chars(body.data() + at, body.data() + body.size(), count);
  return count;
}

OtlpExporter::OtlpExporter(const OtlpAddress& address, OtlpResource resource)
    : client_(address.host_port, "", kPatienceS),
      address_(address),
      resource_(std::move(resource)) {
  // A batch now and then: what a server does between two of them to a kept connection is its
  // affair.
  client_.add_header("Connection: close");
  thread_ = deaf_thread([this] { run(); });
}

OtlpExporter::~OtlpExporter() {
  (void)finish();
}

void OtlpExporter::add(const Story& story) {
  const std::lock_guard lock(mutex_);
  if (queue_.size() == kQueueMax) {
    counts_.dropped += span_count_of(story);
    return;
  }
  queue_.push_back(story);
  if (queue_.size() >= kBatchMax) changed_.notify_one();
}

OtlpExporter::Counts OtlpExporter::finish() {
  {
    const std::lock_guard lock(mutex_);
    if (!finishing_) until_ns_ = steady_ns() + kFinishNs;
    finishing_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
  return counts_;
}

void OtlpExporter::run() {
  for (;;) {
    std::vector<Story> batch;
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, std::chrono::nanoseconds(kGatherNs),
                        [this] { return finishing_ || queue_.size() >= kBatchMax; });
      if (queue_.empty() && finishing_) return;
      const std::size_t count = std::min(queue_.size(), kBatchMax);
      const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(count);
      batch.assign(queue_.begin(), end);
      queue_.erase(queue_.begin(), end);
    }
    if (!batch.empty()) send(batch);
  }
}

void OtlpExporter::send(const std::vector<Story>& batch) {
  const std::string body = otlp_request(batch, resource_);
  const std::uint64_t spans = spans_of(batch);
  std::int64_t growing_ns = kPauseMinNs;
  std::int64_t told_ns = 0;  // by Retry-After
  std::string trouble;
  for (int tries = 0; tries < kTriesMax; ++tries) {
    if (tries > 0) {
      if (!pause(std::max(growing_ns, told_ns))) break;
      growing_ns = std::min(growing_ns * 2, kPauseMaxNs);
    }
    auto reply = [&]() -> Result<HttpReply> {
      if (Status sent = client_.send(address_.path, body); !sent.ok()) return sent.error();
      return client_.receive();
    }();
    client_.disconnect();
    if (!reply.ok()) {
      const int reason = reply.error().error_number;
      trouble = reason == 0 ? reply.error().operation : std::strerror(reason);
    } else if (reply->status >= 200 && reply->status < 300) {
      const std::uint64_t rejected = std::min(rejected_spans_of(reply->body), spans);
      const std::lock_guard lock(mutex_);
      counts_.sent += spans - rejected;
      counts_.dropped += rejected;
      trouble_.clear();
      return;
    } else {
      trouble = "it answers " + std::to_string(reply->status);
      if (!worth_another_try(reply->status)) {
        say_once(trouble);
        break;
      }
      told_ns = std::int64_t{std::clamp(reply->retry_after_s, 0, kRetryAfterMaxS)} * 1'000'000'000;
    }
    say_once(trouble);
  }
  const std::lock_guard lock(mutex_);
  counts_.dropped += spans;
}

bool OtlpExporter::pause(std::int64_t least_ns) {
  // Exporters that were refused together come back apart.
  std::uniform_int_distribution<std::int64_t> between(least_ns, least_ns * 2);
  const std::int64_t end_ns = steady_ns() + between(jitter_);
  std::unique_lock lock(mutex_);
  for (;;) {
    const std::int64_t now_ns = steady_ns();
    if (finishing_ && std::max(now_ns, end_ns) >= until_ns_) return false;
    if (now_ns >= end_ns) return true;
    changed_.wait_for(lock, std::chrono::nanoseconds(end_ns - now_ns));
  }
}

void OtlpExporter::say_once(const std::string& trouble) {
  if (trouble == trouble_) return;
  trouble_ = trouble;
  std::fprintf(stderr, "deja: spans to http://%s%s: %s\n", address_.host_port.c_str(),
               address_.path.c_str(), trouble.c_str());
}

}  // namespace deja
