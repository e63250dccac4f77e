#include "tools/cli/cli.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>

#include "shm/nearest_name.h"
#include "tools/bench/bench.h"
#include "tools/dlq/dlq.h"
#include "tools/inspect/get.h"
#include "tools/inspect/stat.h"
#include "tools/replay/replay.h"
#include "tools/serve/next_program.h"
#include "tools/serve/reload.h"
#include "tools/serve/serve.h"
#include "tools/top/top.h"
#include "tools/trace/trace.h"
#include "tools/tune/tune.h"
#include "tools/tune/tune_measure.h"
#include "tools/validate.h"

namespace deja {
namespace {

void add_appliance(CLI::App& verb, ApplianceName& appliance) {
  verb.add_option("--name", appliance.name, "the appliance's name")->capture_default_str();
  verb.add_option("--directory", appliance.directory, "where its segment lies")
      ->capture_default_str();
}

void add_json(CLI::App& verb, bool& json, const char* what) {
  verb.add_flag("--json", json, what);
}

void add_config(CLI::App& verb, std::string& config) {
  verb.add_option("-c,--config", config, "the config file (TOML)")->required();
}

void add_replay(CLI::App& app, ReplayOptions& options) {
  CLI::App& verb = *app.add_subcommand("replay", "send a CSV or JSONL file of real events");
  verb.add_option("FILE", options.file, "the data: .csv or .jsonl, also .gz, .xz, .zst")
      ->required();
  verb.add_option("--map", options.map, "how a row becomes an event (TOML)")->required();
  verb.add_option("--speed", options.speed, "times as fast as it happened, or max")
      ->capture_default_str();
  verb.add_option("--shift", options.shift, "now: the last event happens now")
      ->check(CLI::IsMember({"now"}));
  verb.add_option("--via", options.via, "http or stream")
      ->check(CLI::IsMember({"http", "stream"}))
      ->capture_default_str();
  verb.add_option("--to", options.to,
                  "HOST:PORT or unix:PATH; without it, the appliance --name on this host");
  verb.add_option("--write-key", options.write_key, "where the appliance wants one; env:NAME too");
  verb.add_option("--id-prefix", options.id_prefix,
                  "before every event's id: a second replay counts anew");
  verb.add_option("--limit", options.limit, "read so many rows at most");
  verb.add_option("--shuffle-within", options.shuffle_within,
                  "let events that near change places, such as 30m");
  verb.add_option("--seed", options.seed, "of --shuffle-within")->capture_default_str();
  verb.add_option("--probes", options.probes,
                  "events to measure event→visible with, where the appliance is on this host")
      ->capture_default_str();
  add_appliance(verb, options.appliance);
  add_json(verb, options.json, "the summary as one line of JSON");
}

void add_dlq(CLI::App& app, DlqOptions& options) {
  CLI::App& verb =
      *app.add_subcommand("dlq", "dead letters: events that could not be understood or applied");
  verb.require_subcommand(1);
  CLI::App& list = *verb.add_subcommand("list", "all of them");
  CLI::App& show = *verb.add_subcommand("show", "one, as JSON");
  CLI::App& replay = *verb.add_subcommand("replay", "send one, or all that were not yet, again");
  show.add_option("N", options.number, "its number")->required();
  replay.add_option("N", options.number, "its number");
  replay.add_flag("--all", options.all, "all that were not replayed yet");
  replay.add_option("--to", options.to,
                    "HOST:PORT or unix:PATH; without it, the appliance --name on this host");
  replay.add_option("--write-key", options.write_key,
                    "where the appliance wants one; env:NAME too");
  for (CLI::App* each : {&list, &show, &replay}) {
    add_appliance(*each, options.appliance);
    each->add_option("--durability", options.durability,
                     "the [durability] directory, where the appliance is not served here");
  }
  add_json(list, options.json, "as JSON");
  add_json(show, options.json, "as it is anyway");
  add_json(replay, options.json, "the counts as one line of JSON");
}

void add_bench(CLI::App& app, BenchOptions& options) {
  CLI::App& verb = *app.add_subcommand("bench", "what this host gives, in ten seconds");
  verb.add_option("--directory", options.directory, "where segments lie")->capture_default_str();
  verb.add_option("--durability", options.durability,
                  "the [durability] directory: how long a sync takes there")
      ->capture_default_str();
  verb.add_option("--profiles", options.profiles, "profiles in the table")
      ->check(CLI::Range(std::uint64_t{1000}, std::uint64_t{100'000'000}))
      ->capture_default_str();
  verb.add_flag("--quick", options.quick, "everything once, on little: whether it works");
  add_json(verb, options.json, "as one line of JSON");
}

void add_tune_measure(CLI::App& verb, TuneMeasureOptions& options) {
  CLI::App& measure = *verb.add_subcommand("measure", "what the host does to a thread's time");
  measure.add_option("-c,--config", options.tune.config, "the config whose [cpu] names the cores");
  measure.add_option("--cores", options.cores, "other cores, such as 2,3")->delimiter(',');
  measure.add_option("--seconds", options.seconds, "how long each probe runs")
      ->check(CLI::Range(0.1, 86'400.0))
      ->capture_default_str();
  measure.add_option("--label", options.label, "what this is called")->capture_default_str();
  measure.add_option("--against", options.against, "a label that was measured before");
  measure.add_flag("--around", options.around, "measure, apply, measure, revert");
  measure.add_option("--output", options.output, "a directory for what is measured")
      ->capture_default_str();
  measure.add_option("--tool", options.tool, "beside our own probes")
      ->check(CLI::IsMember({"auto", "rtla", "cyclictest", "none"}))
      ->capture_default_str();
  measure.add_option("--only", options.tune.selection.only, "of --around")->delimiter(',');
  measure.add_option("--except", options.tune.selection.except, "of --around")->delimiter(',');
  measure.add_option("--state", options.tune.state, "of --around")->capture_default_str();
  add_json(measure, options.tune.json, "as one line of JSON");
}

void add_tune(CLI::App& app, TuneOptions& options, TuneMeasureOptions& measure) {
  CLI::App& verb = *app.add_subcommand("tune", "the host: looked at, explained, set, given back");
  verb.require_subcommand(1);
  CLI::App& check = *verb.add_subcommand("check", "what is wanted, and what the host has");
  CLI::App& explain = *verb.add_subcommand("explain", "a knob: what it does, and what it costs");
  CLI::App& apply = *verb.add_subcommand("apply", "say what would be written, or write it");
  CLI::App& revert = *verb.add_subcommand("revert", "give back what was there before");
  add_tune_measure(verb, measure);
  explain.add_option("KNOB", options.knob, "its name, as check has it")->required();
  apply.add_flag("--yes", options.yes, "write it, and save what is there first");
  for (CLI::App* each : {&check, &explain, &apply}) {
    each->add_option("-c,--config", options.config, "the config whose [cpu] names the cores");
  }
  for (CLI::App* each : {&check, &apply, &revert}) {
    each->add_option("--only", options.selection.only, "these knobs alone")->delimiter(',');
    each->add_option("--except", options.selection.except, "not these, even in --only")
        ->delimiter(',');
  }
  for (CLI::App* each : {&apply, &revert}) {
    each->add_option("--state", options.state, "where what was there is saved")
        ->capture_default_str();
  }
  for (CLI::App* each : {&check, &explain, &apply, &revert}) {
    each->add_option("--root", options.root, "a directory with proc and sys in it")
        ->capture_default_str();
    add_json(*each, options.json, "as one line of JSON");
  }
}

int run_tune(const CLI::App& verb, const TuneOptions& options, const TuneMeasureOptions& measure) {
  if (verb.got_subcommand("measure")) return run_tune_measure(measure);
  if (verb.got_subcommand("check")) return run_tune_check(options);
  if (verb.got_subcommand("explain")) return run_tune_explain(options);
  if (verb.got_subcommand("apply")) return run_tune_apply(options);
  return run_tune_revert(options);
}

void add_top(CLI::App& app, TopOptions& options) {
  CLI::App& verb = *app.add_subcommand("top", "the same, live: rates, lag, latency, processes");
  verb.add_option("--interval", options.interval, "between two looks, such as 500ms or 2s")
      ->capture_default_str();
  verb.add_flag("--once", options.once, "one frame, of one interval");
  add_appliance(verb, options.appliance);
  add_json(verb, options.json, "each look as a line of what stat --json says");
}

void add_trace(CLI::App& app, TraceOptions& options) {
  CLI::App& verb = *app.add_subcommand("trace", "follow single events through every stage");
  verb.add_option("--sample", options.sample,
                  "this part of all events, 0.01 or 1%; without --user: 1%");
  verb.add_option("--user", options.user, "the events of a userId, or of anon:ID");
  verb.add_option("--count", options.count, "end after so many events")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000'000'000}));
  verb.add_option("--duration", options.duration, "follow what comes in a time such as 10s");
  verb.add_option("--wait", options.wait, "for what is still to come of an event")
      ->capture_default_str();
  verb.add_option("--otlp", options.otlp,
                  "send spans to a collector, http://127.0.0.1:4318/v1/traces, and print nothing");
  add_appliance(verb, options.appliance);
  add_json(verb, options.json, "each event as a line of JSON, also beside --otlp");
}

int run_dlq(const CLI::App& verb, const DlqOptions& options) {
  if (verb.got_subcommand("list")) return run_dlq_list(options);
  if (verb.got_subcommand("show")) return run_dlq_show(options);
  return run_dlq_replay(options);
}

}  // namespace

int run_cli(int argument_count, char** arguments) {
  CLI::App app("deja: real-time personalization for one host", "deja");
  app.set_version_flag("--version", "deja " DEJA_VERSION " (segment layout " + layout_text() + ")");
  app.require_subcommand(1);
  app.failure_message([](const CLI::App* failed, const CLI::Error& error) {
    return "deja: " + std::string(error.what()) + "\nRun " + failed->get_name() +
           " --help to see what there is.\n";
  });

  ServeOptions serve;
  CLI::App& serve_verb = *app.add_subcommand("serve", "run an appliance until a signal");
  add_config(serve_verb, serve.config);
  serve_verb.add_option("--ready-fd", serve.ready_descriptor,
                        "descriptor that gets a line of JSON once it serves");
  add_json(serve_verb, serve.json, "that line on stdout, in place of text for people");

  ReloadOptions reload;
  CLI::App& reload_verb =
      *app.add_subcommand("reload", "have the config read again, and a new program taken over to");
  add_appliance(reload_verb, reload.appliance);
  reload_verb.add_option("-c,--config", reload.config,
                         "of the appliance that this config describes");
  add_json(reload_verb, reload.json, "as JSON");

  ValidateOptions validate;
  CLI::App& validate_verb =
      *app.add_subcommand("validate", "check a config, say what memory it takes, run its tests");
  add_config(validate_verb, validate.config);
  add_json(validate_verb, validate.json, "one JSON object");

  GetOptions get;
  CLI::App& get_verb = *app.add_subcommand("get", "one profile");
  get_verb.add_option("USER", get.user, "userId, or anon:ID")->required();
  get_verb.add_option("--at", get.at, "finish it at an instant (RFC 3339, or -2h) and not now");
  add_appliance(get_verb, get.appliance);
  add_json(get_verb, get.json, "as JSON");

  ExportOptions exported;
  bool export_json = false;
  CLI::App& export_verb = *app.add_subcommand("export", "every profile, as JSON lines");
  export_verb.add_option("--at", exported.at, "finish them at an instant and not now");
  add_appliance(export_verb, exported.appliance);
  add_json(export_verb, export_json, "as it is anyway");

  ReplayOptions replay;
  add_replay(app, replay);

  StatOptions stat;
  CLI::App& stat_verb = *app.add_subcommand("stat", "rates, totals, lag, latency, processes");
  add_appliance(stat_verb, stat.appliance);
  add_json(stat_verb, stat.json, "as JSON");

  TopOptions top;
  add_top(app, top);

  TraceOptions trace;
  add_trace(app, trace);

  StatOptions errors;
  CLI::App& errors_verb =
      *app.add_subcommand("errors", "distinct errors, and event names that matched nothing");
  add_appliance(errors_verb, errors.appliance);
  add_json(errors_verb, errors.json, "as JSON");

  DlqOptions dlq;
  add_dlq(app, dlq);

  BenchOptions bench;
  add_bench(app, bench);

  TuneOptions tune;
  TuneMeasureOptions tune_measure;
  add_tune(app, tune, tune_measure);

  std::string help_for;
  CLI::App& help_verb = *app.add_subcommand("help", "what there is, or how a verb is used");
  help_verb.add_option("VERB", help_for, "the verb");

  // CLI11 says of a mistyped verb only that there was none.
  if (argument_count > 1 && arguments[1][0] != '-') {
    std::vector<std::string> verbs;
    for (const CLI::App* verb : app.get_subcommands({})) verbs.push_back(verb->get_name());
    if (std::find(verbs.begin(), verbs.end(), arguments[1]) == verbs.end()) {
      std::cerr << "deja: there is no verb \"" << arguments[1] << "\""
                << did_you_mean(arguments[1], verbs) << " (deja help lists them all)\n";
      return 2;
    }
  }
  try {
    app.parse(argument_count, arguments);
  } catch (const CLI::ParseError& error) {
    const int status = app.exit(error, std::cout, std::cerr);
    return status == 0 ? 0 : 2;
  }
  if (serve_verb.parsed()) return run_serve(serve);
  if (reload_verb.parsed()) return run_reload(reload);
  if (validate_verb.parsed()) return run_validate(validate, std::cout, std::cerr);
  if (get_verb.parsed()) return run_get(get);
  if (export_verb.parsed()) return run_export(exported);
  if (app.got_subcommand("replay")) return run_replay(replay);
  if (stat_verb.parsed()) return run_stat(stat);
  if (app.got_subcommand("top")) return run_top(top);
  if (app.got_subcommand("trace")) return run_trace(trace);
  if (errors_verb.parsed()) return run_errors(errors);
  if (app.got_subcommand("bench")) return run_bench(bench, std::cout, std::cerr);
  if (app.got_subcommand("dlq")) return run_dlq(*app.get_subcommand("dlq"), dlq);
  if (app.got_subcommand("tune")) return run_tune(*app.get_subcommand("tune"), tune, tune_measure);
  const CLI::App* verb = nullptr;
  for (const CLI::App* candidate : app.get_subcommands({})) {
    if (candidate->get_name() == help_for) verb = candidate;
  }
  if (!help_for.empty() && verb == nullptr) {
    std::cerr << "deja: there is no verb " << help_for << ". Run deja help to see all.\n";
    return 2;
  }
  const CLI::App* shown = verb != nullptr ? verb : &app;
  const std::string name = verb != nullptr ? "deja " + help_for : "deja";
  std::cout << app.get_formatter()->make_help(shown, name, CLI::AppFormatMode::Normal);
  return 0;
}

}  // namespace deja
