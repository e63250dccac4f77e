#include "ingest/segment_api.h"

#include <algorithm>
#include <string_view>

#include "ingest/refusal_codes.h"
#include "ingest/segment_exchange.h"
#include "shm/json_text.h"

namespace deja {
namespace {

struct EventRoute {
  std::string_view path;
  bool batch;
  CallType call;
};

// Long names, and the one-letter names that the browser SDK uses.
constexpr EventRoute kEventRoutes[] = {{"/v1/batch", true, CallType::kNone},
                                       {"/v1/track", false, CallType::kTrack},
                                       {"/v1/identify", false, CallType::kIdentify},
                                       {"/v1/page", false, CallType::kPage},
                                       {"/v1/screen", false, CallType::kScreen},
                                       {"/v1/group", false, CallType::kGroup},
                                       {"/v1/alias", false, CallType::kAlias},
                                       {"/v1/import", true, CallType::kNone},
                                       {"/v1/b", true, CallType::kNone},
                                       {"/v1/t", false, CallType::kTrack},
                                       {"/v1/i", false, CallType::kIdentify},
                                       {"/v1/p", false, CallType::kPage},
                                       {"/v1/s", false, CallType::kScreen},
                                       {"/v1/g", false, CallType::kGroup},
                                       {"/v1/a", false, CallType::kAlias}};

constexpr std::string_view kSettingsBefore = "/v1/projects/";
constexpr std::string_view kSettingsAfter = "/settings";

enum class Resource : std::uint8_t { kNone, kEvents, kSettings, kMetrics, kHealth, kReadiness };

Resource resource_of(std::string_view path, const EventRoute*& events) {
  events = std::find_if(std::begin(kEventRoutes), std::end(kEventRoutes),
                        [&](const EventRoute& route) { return route.path == path; });
  if (events != std::end(kEventRoutes)) return Resource::kEvents;
  if (path == "/v1/m") return Resource::kMetrics;
  if (path == "/healthz") return Resource::kHealth;
  if (path == "/readyz") return Resource::kReadiness;
  if (path.starts_with(kSettingsBefore) && path.ends_with(kSettingsAfter) &&
      path.size() > kSettingsBefore.size() + kSettingsAfter.size()) {
    return Resource::kSettings;
  }
  return Resource::kNone;
}

/// Whether a Host header is one that may be put into the settings.
bool is_host(std::string_view host) {
  return !host.empty() && host.size() <= 255 && std::all_of(host.begin(), host.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '-' || c == ':' || c == '[' || c == ']';
  });
}

}  // namespace

SegmentApi::SegmentApi(const SegmentApiOptions& options)
    : options_(options),
      auth_(options.write_keys),
      extractor_(*options.paths, options.slot_count, options.key_bytes_max),
      extraction_(std::make_unique<Extraction>()),
      inflater_(kBatchBytesMax, kHttpPaddingBytes) {
  for (std::size_t digit = 1; digit < answers_.size(); ++digit) {
    answers_[digit] =
        options.process->counter("deja_http_requests_total{status=\"" + std::to_string(digit) +
                                 "xx\",thread=\"" + std::to_string(options.thread) + "\"}");
  }
  const auto limited = [&](const char* by) {
    return options.process->counter("deja_rate_limited_total{by=\"" + std::string(by) +
                                    "\",thread=\"" + std::to_string(options.thread) + "\"}");
  };
  limited_address_ = limited("address");
  limited_key_ = limited("key");
}

std::unique_ptr<HttpExchange> SegmentApi::make_exchange() {
  return std::make_unique<SegmentExchange>(*this);
}

void SegmentApi::on_answer(int status) {
  answers_[static_cast<std::size_t>(std::clamp(status / 100, 1, 5))].add();
}

void SegmentApi::add_cors(HttpAnswer& answer) {
  answer.header("Access-Control-Allow-Origin", "*");
  answer.header("Access-Control-Expose-Headers", "Deja-Ack, Deja-Token, Retry-After");
}

void SegmentApi::fail(HttpAnswer& answer, int status, std::string_view code,
                      std::string_view message, std::string_view path) {
  write_error(answer, status, code, message, path);
  add_cors(answer);
}

void SegmentApi::refuse(const HttpFault& fault, HttpAnswer& answer) {
  fail(answer, fault.status, fault.code, fault.message);
  if (fault.status == 503) answer.header("Retry-After", "1");
}

void SegmentApi::answer_too_many(std::uint32_t pause_s, Counter& counter,
                                 HttpAnswer& answer) const {
  counter.add();
  fail(answer, 429, code::kRateLimited, "too many events in a second: send the same again later");
  answer.header("Retry-After", std::to_string(pause_s));
}

bool SegmentApi::admit_client(const PeerAddress& client, HttpAnswer& answer) {
  if (options_.limits == nullptr) return true;
  const std::uint32_t pause_s = options_.limits->rates.address_pause_s(client);
  if (pause_s == 0) {
    options_.limits->rates.charge_address(client, 1);
    return true;
  }
  answer_too_many(pause_s, limited_address_, answer);
  return false;
}

bool SegmentApi::admit_key(std::int32_t key, HttpAnswer& answer) {
  if (options_.limits == nullptr) return true;
  const std::uint32_t pause_s = options_.limits->rates.key_pause_s(key);
  if (pause_s == 0) return true;
  answer_too_many(pause_s, limited_key_, answer);
  return false;
}

void SegmentApi::charge(const PeerAddress& client, std::int32_t key, std::uint64_t events) {
  if (options_.limits == nullptr) return;
  if (events > 1) options_.limits->rates.charge_address(client, events - 1);
  options_.limits->rates.charge_key(key, events);
}

void SegmentApi::answer_preflight(const HttpRequest& request, HttpAnswer& answer) const {
  answer.begin(204);
  answer.header("Access-Control-Allow-Origin", "*");
  answer.header("Access-Control-Allow-Methods", "GET, POST, OPTIONS");
  const std::string_view wanted = request.header("access-control-request-headers");
  answer.header(
      "Access-Control-Allow-Headers",
      wanted.empty() ? "Authorization, Content-Type, Content-Encoding, Deja-Ack" : wanted);
  answer.header("Access-Control-Max-Age", "86400");
}

// What analytics-next wants to know before it sends (its "CDN settings"): one destination, which is
// here. Its metrics are switched off at the source; where a client sends them all the same, /v1/m
// takes them.
void SegmentApi::answer_settings(const HttpRequest& request, HttpAnswer& answer) const {
  std::string_view key = request.path.substr(kSettingsBefore.size());
  key.remove_suffix(kSettingsAfter.size());
  if (!auth_.knows(key)) return fail(answer, 401, "bad_key", "the write key is not known here");
  const std::string_view host = request.header("host");
  if (!is_host(host)) return fail(answer, 400, "bad_host", "the settings need a Host to point to");
  const bool secure = equal_ignoring_case(request.header("x-forwarded-proto"), "https");
  const std::string_view protocol = secure ? "https" : "http";
  answer.begin(200);
  answer.body.append(R"({"integrations":{"Segment.io":{"apiKey":)");
  append_json_text(answer.body, key);
  answer.body.append(R"(,"apiHost":")").append(host).append(R"(/v1","protocol":")");
  answer.body.append(protocol).append(R"(","deliveryStrategy":{"strategy":"standard"}}},)");
  answer.body.append(R"("metrics":{"sampleRate":0,"host":")").append(host);
  answer.body.append(R"(/v1","protocol":")").append(protocol);
  answer.body.append(R"("},"remotePlugins":[]})");
  add_cors(answer);
}

bool SegmentApi::read_level(const HttpRequest& request, schema::AckLevel& level,
                            HttpAnswer& answer) const {
  const std::string_view asked = request.header("deja-ack");
  level = options_.ack;
  if (asked.empty()) return true;
  level = asked == "durable" ? schema::AckLevel::DURABLE : schema::AckLevel::APPLIED;
  if (asked == "durable" || asked == "applied") return true;
  fail(answer, 400, "bad_ack", "the header Deja-Ack asks for applied or durable");
  return false;
}

SegmentApi::Events SegmentApi::route(const HttpRequest& request, HttpAnswer& answer) {
  const Events answered;
  const EventRoute* events = nullptr;
  const Resource resource = resource_of(request.path, events);
  if (request.method == HttpMethod::kOptions &&
      (resource != Resource::kNone || request.path == "*")) {
    answer_preflight(request, answer);
    return answered;
  }
  if (resource == Resource::kNone) {
    fail(answer, 404, "not_found", "there is nothing at this path");
    return answered;
  }
  const bool post = resource == Resource::kEvents || resource == Resource::kMetrics;
  const bool fits = post
                        ? request.method == HttpMethod::kPost
                        : request.method == HttpMethod::kGet || request.method == HttpMethod::kHead;
  if (!fits) {
    fail(answer, 405, "method_not_allowed", "the path takes other methods, see Allow");
    answer.header("Allow", post ? "POST, OPTIONS" : "GET, HEAD, OPTIONS");
    return answered;
  }
  Events found;
  found.client = options_.limits == nullptr
                     ? request.peer
                     : options_.limits->proxies.client_of(request.peer, request.headers);
  // Before a key is looked at: guessing keys is limited as well.
  const bool limited = resource == Resource::kEvents || resource == Resource::kSettings;
  if (limited && !admit_client(found.client, answer)) return answered;
  switch (resource) {
    case Resource::kSettings:
      answer_settings(request, answer);
      return answered;
    case Resource::kReadiness:
      if (options_.ready && !options_.ready()) {
        fail(answer, 503, "not_ready", "the appliance is starting or stopping");
        answer.header("Retry-After", "1");
        return answered;
      }
      [[fallthrough]];
    case Resource::kHealth:
    case Resource::kMetrics:
      answer.begin(200);
      answer.body = R"({"success":true})";
      add_cors(answer);
      return answered;
    default:
      break;
  }
  const SegmentAuth::Checked key = auth_.check_header(request.header("authorization"));
  if (key.header == SegmentAuth::Header::kWrong) {
    fail(answer, 401, "bad_key", "the write key is not known here");
    return answered;
  }
  if (!read_level(request, found.level, answer) || !admit_key(key.key, answer)) return answered;
  found.wanted = true;
  found.batch = events->batch;
  found.call = events->call;
  found.authorized = auth_.open() || key.header == SegmentAuth::Header::kRight;
  found.key = key.key;
  return found;
}

bool SegmentApi::read_body(const HttpRequest& request, std::string_view& text, HttpAnswer& answer) {
  std::span<const std::uint8_t> bytes = request.body;
  const std::string_view coding = request.header("content-encoding");
  if (equal_ignoring_case(coding, "gzip") || equal_ignoring_case(coding, "x-gzip")) {
    switch (inflater_.inflate(request.body, bytes)) {
      case Inflater::Outcome::kDone:
        break;
      case Inflater::Outcome::kTooLarge:
        fail(answer, 413, "body_too_large", "the body is longer than 500 KB once inflated");
        return false;
      case Inflater::Outcome::kCorrupt:
        fail(answer, 400, "bad_gzip", "the body is not gzip, or not all of it");
        return false;
    }
  } else if (!coding.empty() && !equal_ignoring_case(coding, "identity")) {
    fail(answer, 415, "unknown_encoding", "the body's Content-Encoding is gzip or none");
    answer.header("Accept-Encoding", "gzip");
    return false;
  }
  text = {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  return true;
}

}  // namespace deja
