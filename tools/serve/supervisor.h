// `deja serve`: one appliance from its config to its end.
//
// Start: check the config │ take the locks │ private Redis │ drain what a killed supervisor left
// (its children may still listen until then) │ listen │ create the segment │ keeper and workers,
// until everything stored is read back │ ingest and console │ serving. Stop: draining │ ingest │
// rings empty │ workers │ keeper (drains its logs, flushes) │ console │ Redis │ stopped, files
// removed.
//
// A supervisor that is killed takes its children with it (PDEATHSIG) and leaves the segment as it
// was. The next one finds it (not stopped, its lock free), starts keeper and workers on it alone,
// lets them drain, and only then makes its own: nothing that was acknowledged is lost. When a stop
// can't flush, the segment stays likewise, and the exit status says so.
//
// The main thread, and no other.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "shm/process_file.h"
#include "shm/segment.h"
#include "tools/config/config.h"
#include "tools/serve/backlog.h"
#include "tools/serve/crew.h"
#include "tools/serve/listening_socket.h"
#include "tools/serve/locked_table.h"
#include "tools/serve/private_redis.h"
#include "tools/serve/single_instance.h"
#include "tools/serve/start_report.h"

namespace deja {

class Supervisor {
 public:
  struct Options {
    int ready_descriptor = -1;  ///< gets one line of JSON once the appliance serves
    bool json = false;          ///< the same line on stdout in place of the banner
  };

  Supervisor(Config config, const Options& options);
  ~Supervisor();

  /// Serves until asked to stop; the process's exit status.
  [[nodiscard]] int run();

 private:
  Status start();
  Status take_places();
  Status listen();
  Status start_redis(const PrivateRedis& redis, const std::string& name);
  Status drain_leftover();
  Status make_segment();
  Status start_writers(const std::string& directory, std::uint32_t worker_count);
  Status start_listeners();
  void tell_ready();
  /// False: something could not be flushed.
  bool stop();
  bool stop_writers(const Segment& segment, const Backlog& backlog);
  [[nodiscard]] bool runs(const Segment& segment, const std::string& name) const;
  [[nodiscard]] bool writers_run(const Segment& segment) const;
  void set_state(SegmentState state);
  void print_banner() const;
  [[nodiscard]] std::string ready_json() const;
  [[nodiscard]] ChildCommand command(const std::string& program,
                                     std::vector<std::string> arguments) const;

  Config config_;
  Options options_;
  std::string segment_directory_;
  std::string ingest_user_;  ///< "UID:GID", or empty
  Crew crew_;
  std::vector<SingleInstance> locks_;
  std::vector<ListeningSocket> http_;
  std::vector<ListeningSocket> streams_;
  std::vector<ListeningSocket> console_;
  bool served_ = false;  ///< events may have been accepted
  std::unique_ptr<PrivateRedis> redis_;
  SegmentPlan plan_;
  StartReport report_;
  std::unique_ptr<Segment> segment_;
  std::unique_ptr<LockedTable> locked_table_;
  std::unique_ptr<Backlog> backlog_;
  std::unique_ptr<MappedFile> superblock_;
  std::unique_ptr<ProcessFile> process_;
};

}  // namespace deja
