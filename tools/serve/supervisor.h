// `deja serve`: one appliance from its config to its end.
//
// Start: check the config │ take the locks │ private Redis │ what a killed supervisor left, below │
// listen │ create the segment │ keeper and workers, until everything stored is read back │ ingest
// and console │ serving. Stop: draining │ ingest │ rings empty │ workers │ keeper (drains its logs,
// flushes) │ console │ Redis │ stopped, files removed.
//
// A supervisor that is killed leaves everything as it was: its children live on and serve. The next
// one finds the segment (not stopped, of this boot) and
//   goes on with it, where its own config would make the same: adopts who lives, starts who does
//     not, reads nothing from Redis. Renderers notice nothing; the ids are all there.
//   drains it, where the config makes another: under the old superblock, and with no ingest any
//     more, everything accepted is applied and flushed, before the new one is made.
// Where a stop can't make everything durable the segment stays likewise, and the exit status says
// so.
//
// Crash windows: killed at any instruction, it leaves a segment that the next start treats as
// above, perhaps strays (files of a segment half made or half removed), which the next start
// removes, and perhaps a child that has not taken its place yet: who starts another in its place is
// refused by the lock, and adopts it.
//
// The main thread, and no other.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "shm/process_file.h"
#include "shm/segment.h"
#include "tools/config/config.h"
#include "tools/serve/crew.h"
#include "tools/serve/listeners.h"
#include "tools/serve/locked_table.h"
#include "tools/serve/private_redis.h"
#include "tools/serve/single_instance.h"
#include "tools/serve/start_report.h"
#include "tools/serve/writers.h"

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
  Status prepare();
  Status begin();
  Status go_on(std::unique_ptr<Segment> old);
  Status drain(const Segment& old);
  Status make_segment();
  Status take_segment(std::unique_ptr<Segment> segment);
  Status lock_table();
  Status serve();
  Status start_listeners();
  void tell_ready();
  /// False: something could not be made durable.
  bool stop();
  void set_state(SegmentState state);

  Config config_;
  Options options_;
  std::string segment_directory_;
  std::string ingest_user_;  ///< "UID:GID", or empty
  Listeners listeners_;
  std::unique_ptr<PrivateRedis> redis_;
  Crew crew_;
  std::vector<SingleInstance> locks_;
  bool served_ = false;  ///< events may have been accepted
  SegmentPlan plan_;
  StartReport report_;
  std::unique_ptr<Segment> segment_;
  std::unique_ptr<LockedTable> locked_table_;
  std::optional<Writers> writers_;
  std::unique_ptr<MappedFile> superblock_;
  std::unique_ptr<ProcessFile> process_;
};

}  // namespace deja
