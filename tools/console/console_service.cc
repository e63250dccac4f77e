#include "tools/console/console_service.h"

#include <algorithm>

#include "shm/base/clock.h"
#include "shm/nearest_name.h"
#include "tools/console/console_request.h"
#include "tools/console/page_routes.h"
#include "tools/console/prometheus.h"
#include "tools/inspect/appliance_state.h"
#include "tools/replay/time_text.h"

namespace deja {
namespace {

constexpr std::string_view kProfiles = "/v1/profiles/";
constexpr int kBusyAttemptsMax = 20;
constexpr std::int64_t kAskAgainUs = 20'000;

class ConsoleExchange final : public HttpExchange {
 public:
  explicit ConsoleExchange(ConsoleService& service) : service_(service) {}

  HttpProgress begin(const HttpRequest& request, std::int64_t received_us,
                     HttpAnswer& answer) override {
    return service_.begin(request, received_us, answer, waiting_);
  }
  HttpProgress resume(std::int64_t now_us, HttpAnswer& answer) override {
    return service_.answer_profile(waiting_, now_us, answer);
  }

 private:
  ConsoleService& service_;
  ProfileRequest waiting_;
};

void retry_later(HttpAnswer& answer, std::string_view code, std::string_view message) {
  write_error(answer, 503, code, message);
  answer.header("Retry-After", "1");
}

}  // namespace

Result<std::unique_ptr<ConsoleService>> ConsoleService::open(const ApplianceName& appliance,
                                                             ProcessFile& process) {
  auto opened = open_appliance(appliance);
  if (!opened.ok()) return opened.error();
  return std::unique_ptr<ConsoleService>(
      new ConsoleService(appliance, std::move(opened.value()), process));
}

ConsoleService::ConsoleService(const ApplianceName& which, ApplianceHandle appliance,
                               ProcessFile& process)
    : which_(which),
      appliance_(std::move(appliance)),
      buffer_(std::make_unique<ProfileBuffer>(appliance_.get())) {
  read_keys();
  for (std::size_t hundreds = 1; hundreds < std::size(answers_); ++hundreds) {
    answers_[hundreds] = process.counter("deja_console_answers_total{status=\"" +
                                         std::to_string(hundreds) + "xx\"}");
  }
}

void ConsoleService::read_keys() {
  // Only this console reads the settings; a renderer has no need to.
  const auto segment = Segment::open(segment_path(which_));
  if (!segment.ok()) return;
  std::vector<std::string> keys;
  for (const auto key : segment->settings().getReadKeys()) keys.emplace_back(key.cStr());
  auth_ = std::make_unique<SegmentAuth>(std::move(keys));
}

std::unique_ptr<HttpExchange> ConsoleService::make_exchange() {
  return std::make_unique<ConsoleExchange>(*this);
}

void ConsoleService::on_answer(int status) {
  const int hundreds = std::clamp(status / 100, 1, 5);
  answers_[hundreds].add();
}

bool ConsoleService::may_read(const HttpRequest& request) const {
  if (auth_ == nullptr) return false;  // the keys could not be read: nobody may
  if (auth_->open()) return true;
  const std::string_view authorization = request.header("Authorization");
  return auth_->check_header(authorization).header == SegmentAuth::Header::kRight ||
         auth_->knows(bearer_key(authorization));
}

bool ConsoleService::attached() {
  if (deja_state(appliance_.get()) == DEJA_OK) return true;
  const std::uint64_t before = deja_incarnation(appliance_.get());
  if (deja_reattach(appliance_.get()) != DEJA_OK) return false;
  if (deja_incarnation(appliance_.get()) != before) {
    buffer_ = std::make_unique<ProfileBuffer>(appliance_.get());
    read_keys();
  }
  return deja_state(appliance_.get()) == DEJA_OK;
}

HttpProgress ConsoleService::begin(const HttpRequest& request, std::int64_t received_us,
                                   HttpAnswer& answer, ProfileRequest& waiting) {
  answer.begin(200);
  if (request.method != HttpMethod::kGet && request.method != HttpMethod::kHead) {
    write_error(answer, 405, "method_not_allowed", "the console answers GET and HEAD");
    answer.header("Allow", "GET, HEAD");
    return HttpProgress::kAnswered;
  }
  if (request.path == "/healthz") {
    answer.body = "{\"status\":\"ok\"}";
    return HttpProgress::kAnswered;
  }
  if (request.path == "/readyz") {
    answer_ready(answer);
    return HttpProgress::kAnswered;
  }
  const bool profile = request.path.starts_with(kProfiles);
  const bool page = is_page_path(request.path);
  const bool stat = request.path == "/v1/stat";
  if (!profile && !page && !stat && request.path != "/metrics") {
    write_error(answer, 404, "no_such_route",
                "there are / (the live page), /v1/profiles/USER, /v1/stat, /metrics, /healthz and "
                "/readyz");
    return HttpProgress::kAnswered;
  }
  attached();  // the keys are those of the incarnation that serves now
  if (!may_read(request)) {
    write_error(answer, 401, "read_key_needed",
                "a read key is needed, as the user name of Basic authorization or as Bearer; a "
                "write key never reads");
    answer.header("WWW-Authenticate", "Basic realm=\"deja\"");
    return HttpProgress::kAnswered;
  }
  if (!profile) {
    if (page) {
      answer_page(request, answer);
    } else if (stat) {
      answer_stat(answer);
    } else {
      answer_metrics(answer);
    }
    return HttpProgress::kAnswered;
  }
  waiting = {std::string(request.target), std::string(request.header("Deja-Token")), received_us, 0,
             0};
  return answer_profile(waiting, received_us, answer);
}

bool ConsoleService::may_come(ProfileRequest& request, const deja_key& key, std::int64_t now_us) {
  if (request.asked_us == 0) request.asked_us = now_us;
  if (now_us - request.asked_us >= kStoreWaitUs) return false;
  // Again and again: in a full table it takes room that others may be quicker to find.
  if (now_us - request.asked_last_us < kAskAgainUs) return true;
  request.asked_last_us = now_us;
  const deja_status asked = deja_ask(appliance_.get(), &key, 1);
  return asked == DEJA_OK || asked == DEJA_BUSY;
}

HttpProgress ConsoleService::answer_profile(ProfileRequest& request, std::int64_t now_us,
                                            HttpAnswer& answer) {
  answer.begin(200);
  answer.header("Cache-Control", "no-store");
  const auto fail = [&](int status, std::string_view code, std::string_view message,
                        std::string_view path = {}) {
    write_error(answer, status, code, message, path);
    return HttpProgress::kAnswered;
  };
  const std::string_view whole = request.target;
  const std::size_t mark = whole.find('?');
  const std::string_view query =
      mark == std::string_view::npos ? std::string_view() : whole.substr(mark + 1);
  const auto user =
      percent_decoded(whole.substr(0, mark).substr(std::min(kProfiles.size(), whole.size())));
  const std::optional<deja_key> key = user ? parse_user(*user) : std::nullopt;
  if (!key) return fail(400, "bad_user", "a user is 1 to 64 bytes, percent-encoded", "USER");
  const std::int64_t wall_now_us = wall_us();
  std::int64_t at_us = wall_now_us;
  if (const auto at = query_value(query, "at")) {
    const auto moment = parse_moment(*at, wall_now_us);
    if (!moment) return fail(400, "bad_at", "an instant is RFC 3339, or an offset as -2h", "at");
    at_us = *moment;
  }
  if (!attached()) {
    retry_later(answer, "stale", "the appliance is stopped or just starting");
    return HttpProgress::kAnswered;
  }
  if (!request.token.empty()) {
    const deja_status visible = deja_wait(appliance_.get(), request.token.c_str(), 0);
    if (visible == DEJA_MISUSE) {
      return fail(400, "bad_token", "Deja-Token is not what an answer to events held",
                  "Deja-Token");
    }
    if (visible != DEJA_OK) {
      if (now_us - request.received_us <= kTokenWaitUs) return HttpProgress::kWaiting;
      retry_later(answer, "not_visible_yet", "the token's events are not visible yet");
      return HttpProgress::kAnswered;
    }
  }
  std::vector<std::string> fields;
  if (const auto wanted = query_value(query, "fields")) {
    fields = comma_separated(*wanted);
    for (const std::string& field : fields) {
      deja_feature feature = 0;
      if (deja_feature_find(appliance_.get(), field.c_str(), &feature) == DEJA_OK) continue;
      std::vector<std::string> names;
      for (deja_feature at = 0; at < deja_feature_count(appliance_.get()); ++at) {
        names.emplace_back(deja_feature_name(appliance_.get(), at));
      }
      return fail(400, "unknown_field",
                  "no feature is called so" + did_you_mean(field, names, '\''), "fields." + field);
    }
  }
  deja_status status = DEJA_BUSY;
  for (int attempt = 0; status == DEJA_BUSY && attempt < kBusyAttemptsMax; ++attempt) {
    status = deja_get(appliance_.get(), *key, buffer_->get());
  }
  if (status == DEJA_UNKNOWN && may_come(request, *key, now_us)) return HttpProgress::kWaiting;
  if (status == DEJA_UNKNOWN) return fail(404, "unknown_user", "this user has no profile", "USER");
  if (status != DEJA_OK) {
    retry_later(answer, status == DEJA_BUSY ? "busy" : "stale", deja_status_text(status));
    return HttpProgress::kAnswered;
  }
  append_shown_json(answer.body, shown_profile(appliance_.get(), buffer_->get(), at_us, fields));
  return HttpProgress::kAnswered;
}

void ConsoleService::answer_metrics(HttpAnswer& answer) const {
  const auto segment = Segment::open(segment_path(which_));
  if (!segment.ok()) {
    retry_later(answer, "stale", "the appliance is stopped or just starting");
    return;
  }
  const std::int64_t now_us = wall_us();
  std::vector<Lag> lags = ring_lags(*segment, now_us);
  for (Lag& lag : log_lags(*segment, now_us)) lags.push_back(std::move(lag));
  answer.content_type = "text/plain; version=0.0.4; charset=utf-8";
  answer.body = prometheus_text(read_processes(*segment), lags,
                                segment->superblock().state.load(std::memory_order_acquire));
}

void ConsoleService::answer_stat(HttpAnswer& answer) const {
  const auto segment = Segment::open(segment_path(which_));
  if (!segment.ok()) {
    retry_later(answer, "stale", "the appliance is stopped or just starting");
    return;
  }
  answer.header("Cache-Control", "no-store");
  add_browser_headers(answer);
  answer.body = state_json(gather_state(*segment, segment_path(which_)));
}

void ConsoleService::answer_ready(HttpAnswer& answer) {
  const auto segment = Segment::open(segment_path(which_));
  const bool serving =
      attached() && segment.ok() &&
      segment->superblock().state.load(std::memory_order_acquire) == SegmentState::kServing;
  if (serving) {
    answer.body = "{\"status\":\"ready\"}";
    return;
  }
  retry_later(answer, "not_ready", "the appliance is not serving");
}

}  // namespace deja
