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
// Asked to reload (SIGHUP), it checks the config again, makes the new segment's files beside the
// old one's and opens what more is to be listened on: whatever is wrong until here is said, and
// nothing has changed. Then: draining │ ingest │ rings empty │ workers │ keeper │ the new
// superblock is renamed in │ keeper and workers on it, until everything stored is read back │
// serving, the old one superseded │ ingest and console. Renderers read the old segment all the
// while, and attach to the new one when it has everything; clients wait in the sockets' backlogs.
// Where its own program was replaced on disk it becomes the new one (next_program.h), which goes on
// with the segment as with a killed one's, and has every other process replaced one by one. With
// another layout it drains first, and the new one makes a segment beside the old, as for a reload.
// A segment of another layout that was never drained is nobody's to take away: a start refuses.
//
// Where a stop can't make everything durable the segment stays likewise, and the exit status says
// so.
//
// Crash windows: killed at any instruction, it leaves a segment that the next start treats as
// above, perhaps strays (files of a segment half made or half removed), which the next start
// removes, and perhaps a child that has not taken its place yet: who starts another in its place is
// refused by the lock, and adopts it. Killed in a reload, before the rename it leaves the old
// segment, drained or draining, after it the new one, which a start of the new config goes on with.
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
#include "tools/serve/next_program.h"
#include "tools/serve/posts.h"
#include "tools/serve/private_redis.h"
#include "tools/serve/reload_outcome.h"
#include "tools/serve/single_instance.h"
#include "tools/serve/start_report.h"
#include "tools/serve/watchdog.h"
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
  Status fill(NewSegment& made);
  Status take_segment(std::unique_ptr<Segment> segment);
  Status lock_table();
  Status open_doors();
  Status start_listeners();
  Status start_writers();
  Status start_ingest();
  Status start_console();
  Status take_made(const SegmentReport& made);
  void note_changes();
  HandSockets handing(Status (Listeners::*open)(), void (Listeners::*hand)(ChildCommand&) const);
  void stop_ingest();
  void stop_console();
  void tell_ready();

  void reload();
  Result<std::string> reload_config_and_program();
  Result<std::string> change_to(Config config);
  [[nodiscard]] Status check_redis() const;
  Status drain_for_another();
  void leave_segment();
  Status serve_anew(NewSegment& made);
  Result<std::string> become(const NextProgram& next, const std::string& layout);
  Status replace_programs();
  void tell_outcome(ReloadOutcome outcome);
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
  Watchdog watchdog_;
  std::vector<SingleInstance> locks_;
  bool served_ = false;      ///< events may have been accepted
  bool taken_over_ = false;  ///< from the program before in this very process
  bool fatal_ = false;       ///< a reload failed where nothing can go on
  bool unflushed_ = false;   ///< the writers were stopped, and not everything is durable
  SegmentPlan plan_;
  StartReport report_;
  std::unique_ptr<Segment> segment_;
  std::unique_ptr<LockedTable> locked_table_;
  std::optional<Writers> writers_;
  std::unique_ptr<MappedFile> superblock_;
  MappedFile* old_superblock_ = nullptr;  ///< whose renderers read on while the new one fills
  std::unique_ptr<ProcessFile> process_;
};

}  // namespace deja
