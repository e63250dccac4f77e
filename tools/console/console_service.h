// What deja-console answers: profiles, the live page, /v1/stat, /metrics, /healthz, /readyz. An
// ordinary renderer with HTTP in front: profiles come through libdeja, and after a restart of the
// appliance it attaches again. One thread.
//
//   GET /v1/profiles/USER[?fields=a,b][&at=INSTANT]   200 │ 404 unknown user │ 503 busy, stale
//     Deja-Token in the request: at least as new as that, waited for up to kTokenWaitUs, else 503
//     One who is not in memory is asked for, and waited for up to kStoreWaitUs, where the store may
//     have him
//   GET /v1/stat                                      200, what `deja stat --json` says
//   GET /metrics                                      200, Prometheus's text
//   GET /, /page/FILE                                 200 │ 304 known by its tag │ 404 no such file
//   GET /healthz, /readyz                             200 │ readyz 503 unless it can serve
// Where read keys are set, all but the last two need one (Basic's user name, or Bearer): else 401.
// A browser asks its user for it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "ingest/http_connection.h"
#include "ingest/segment_auth.h"
#include "shm/process_file.h"
#include "tools/inspect/open_appliance.h"

namespace deja {

inline constexpr std::int64_t kTokenWaitUs = 2'000'000;
inline constexpr std::int64_t kStoreWaitUs = 100'000;

/// A request for a profile, as long as it waits.
struct ProfileRequest {
  std::string target;
  std::string token;
  std::int64_t received_us = 0;
  std::int64_t asked_us = 0;       ///< when the store was first asked for its user; 0: it was not
  std::int64_t asked_last_us = 0;  ///< and last
};

class ConsoleService final : public HttpService {
 public:
  [[nodiscard]] static Result<std::unique_ptr<ConsoleService>> open(const ApplianceName& appliance,
                                                                    ProcessFile& process);

  [[nodiscard]] std::unique_ptr<HttpExchange> make_exchange() override;
  void on_answer(int status) override;

  // For the exchanges.
  HttpProgress begin(const HttpRequest& request, std::int64_t received_us, HttpAnswer& answer,
                     ProfileRequest& waiting);
  /// The request's profile, or that it waits: for its token, or for the store.
  HttpProgress answer_profile(ProfileRequest& request, std::int64_t now_us, HttpAnswer& answer);

 private:
  ConsoleService(const ApplianceName& which, ApplianceHandle appliance, ProcessFile& process);
  void read_keys();
  [[nodiscard]] bool may_read(const HttpRequest& request) const;
  /// Attaches again where the incarnation has ended; whether there is one that serves.
  bool attached();
  /// Whether a user who is not in memory may be there soon.
  [[nodiscard]] bool may_come(ProfileRequest& request, const deja_key& key, std::int64_t now_us);
  void answer_metrics(HttpAnswer& answer) const;
  void answer_stat(HttpAnswer& answer) const;
  void answer_ready(HttpAnswer& answer);

  ApplianceName which_;
  ApplianceHandle appliance_;
  std::unique_ptr<ProfileBuffer> buffer_;
  std::unique_ptr<SegmentAuth> auth_;
  Counter answers_[6];  ///< by class of status
};

}  // namespace deja
