// What the keeper shows of itself in process-keeper, by Prometheus name. The keeper's thread alone.
#pragma once

#include <string>

#include "shm/process_file.h"

namespace deja {

/// What becomes of a user whom a renderer asks for; of a datagram, where it is broken.
enum AskedOutcome : std::uint8_t {
  kAskedGiven,
  kAskedNothing,
  kAskedPresent,
  kAskedTooMany,
  kAskedBroken,
  kAskedOutcomes
};

struct KeeperCounters {
  explicit KeeperCounters(ProcessFile& file)
      : written(file.counter("deja_redis_written_total")),
        older(file.counter("deja_redis_older_total")),
        errors(file.counter("deja_redis_errors_total")),
        reconnects(file.counter("deja_redis_reconnects_total")),
        connected(file.gauge("deja_redis_connected")),
        touched(file.gauge("deja_keeper_touched")),
        flush_lag_events(file.gauge("deja_flush_lag_events")),
        flush_lag_microseconds(file.gauge("deja_flush_lag_microseconds")),
        restored(file.counter("deja_profiles_restored_total")),
        translated(file.counter("deja_profiles_translated_total")),
        broken_records(file.counter("deja_log_records_total{kind=\"broken\"}")),
        walks(file.counter("deja_keeper_shard_walks_total")),
        journal_bytes(file.counter("deja_journal_bytes_total")),
        journal_failures(file.counter("deja_journal_failures_total")),
        journal_segments(file.gauge("deja_journal_segments")),
        journal_state(file.gauge("deja_journal_state")),
        journal_lag_events(file.gauge("deja_journal_lag_events")),
        journal_lag_microseconds(file.gauge("deja_journal_lag_microseconds")),
        disk_bytes(file.gauge("deja_durability_disk_bytes")),
        free_bytes(file.gauge("deja_durability_free_bytes")),
        letters(file.counter("deja_dead_letters_total")),
        letters_dropped(file.counter("deja_dead_letters_dropped_total")),
        replayed(file.counter("deja_journal_replayed_total")),
        partial_wanted(file.gauge("deja_partial_profiles_wanted")),
        stored_parts(file.counter("deja_stored_parts_total")),
        durable_seconds(file.histogram("deja_event_stage_seconds{stage=\"applied_durable\"}")),
        flushed_seconds(file.histogram("deja_event_stage_seconds{stage=\"applied_flushed\"}")),
        flush_seconds(file.histogram("deja_flush_seconds")) {
    asked[kAskedGiven] = file.counter("deja_profiles_asked_total{outcome=\"given\"}");
    asked[kAskedNothing] = file.counter("deja_profiles_asked_total{outcome=\"nothing_stored\"}");
    asked[kAskedPresent] = file.counter("deja_profiles_asked_total{outcome=\"present\"}");
    asked[kAskedTooMany] = file.counter("deja_profiles_asked_total{outcome=\"too_many\"}");
    asked[kAskedBroken] = file.counter("deja_profiles_asked_total{outcome=\"broken\"}");
    log_records[0] = file.counter("deja_log_records_total{kind=\"applied\"}");
    log_records[1] = file.counter("deja_log_records_total{kind=\"duplicate\"}");
    log_records[2] = file.counter("deja_log_records_total{kind=\"refused\"}");
    log_records[3] = file.counter("deja_log_records_total{kind=\"dead\"}");
    log_records[4] = file.counter("deja_log_records_total{kind=\"merged\"}");
    log_records[5] = file.counter("deja_log_records_total{kind=\"rejected\"}");
  }

  Counter written;
  Counter older;
  Counter errors;
  Counter reconnects;
  Counter connected;
  Counter touched;
  Counter flush_lag_events;
  Counter flush_lag_microseconds;
  Counter restored;
  Counter translated;
  Counter broken_records;
  Counter walks;  ///< shards whose whole index was looked at
  Counter journal_bytes;
  Counter journal_failures;  ///< writes, syncs and new segments that the disk refused
  Counter journal_segments;
  Counter journal_state;  ///< JournalState: 1 writing, 2 full, 3 failed
  Counter journal_lag_events;
  Counter journal_lag_microseconds;
  Counter disk_bytes;       ///< of the file system of the durability directory
  Counter free_bytes;       ///< and of that, what the keeper may still take
  Counter letters;          ///< dead letters kept on the disk
  Counter letters_dropped;  ///< and not kept, for the bound of their file; see DeadLetters
  Counter replayed;         ///< events applied again from the journal
  Counter partial_wanted;
  Counter stored_parts;  ///< handed over for partial profiles
  Counter asked[kAskedOutcomes];
  Counter log_records[6];     ///< by LogKind - 1, then rejected events'; once they are durable
  Histogram durable_seconds;  ///< each event with the age of the oldest of its group
  Histogram flushed_seconds;  ///< the oldest event of each shard that a pass wrote
  Histogram flush_seconds;
};

}  // namespace deja
