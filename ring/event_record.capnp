@0xca336a8d629ed765;
# One accepted event, as ingest hands it to a worker and as the log keeps it. In a ring it lies as
# the words of one segment, root pointer first, without a segment table (the ring's record header
# has the length). Together with the catalog this is the whole contract between ingest and workers.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("deja::schema");

struct EventRecord {
  receivedUs @0 :Int64;             # wall clock at receipt, microseconds since the epoch
  timeUs @1 :Int64;                 # event time, skew-corrected and bounded by max_future
  idLow @2 :UInt64;                 # 128-bit hash of the message id; both 0: it had none
  idHigh @3 :UInt64;
  kinds @4 :UInt64;                 # bit k: Catalog.events[k] matched; never 0
  shard @5 :UInt32;
  keyNamespace @6 :UInt8;           # KeyNamespace: 0 user, 1 anonymous
  key @7 :Data;                     # 1..Catalog.keyBytes bytes
  values @8 :List(Value);           # what was there of the slots of the matched kinds

  struct Value {
    number @0 :Float64;
    slot @1 :UInt16;
    element @2 :UInt16;             # index in the slot's array; 0 for a slot without one
    kind @3 :UInt8;                 # ValueKind
    text @4 :Data;                  # UTF-8, for ValueKind::kText
  }
}
