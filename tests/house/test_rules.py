"""The rules of the house that a machine can check: who may include whom, where third parties live,
that a file says what it is, that relative links in the READMEs lead somewhere."""

import pathlib
import re
import subprocess
import tomllib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOP_LEVEL = {"CMakeLists.txt", "ingest", "ring", "workers", "shm", "tools", "tests", "bench",
             "tuning", "README.md", "LICENSE"}

# What the files of a folder may include of ours; tests and bench may include anything.
MAY_INCLUDE = {
    "shm/base": {"shm/base"},
    "shm/libdeja": {"shm", "shm/base", "shm/columns", "shm/libdeja"},
    "shm": {"shm"},
    "ring": {"shm", "ring"},
    "ingest": {"shm", "ring", "ingest"},
    "workers": {"shm", "ring", "workers"},
    "tuning": {"shm", "tuning"},
    "tools": {"shm", "ring", "ingest", "workers", "tuning", "tools"},
}

# Third parties and their one home each.
HOMES = {
    r"liburing\.h": {"ingest/loop", "workers/journal/posix_journal_disk"},
    r"hiredis/.*": {"workers/redis/"},
    r"boost/interprocess/.*": {"shm/mapped_file"},
    r"llhttp\.h": {"ingest/http"},
    r"simdjson\.h": {"ingest/json", "tools/replay/"},
    r"toml\+\+/.*": {"tools/config/"},
    r"CLI/.*": {"tools/cli/", "tools/deja_main"},
}

# All that libdeja may use besides ours: libc, and C++ headers without a library behind them.
LIBC_ONLY = re.compile(r"^(?:std(?:def|int|lib|io|bool)\.h|c?(?:stddef|stdint|stdio|stdlib|string|"
                       r"time|errno|math|limits)(?:\.h)?|atomic|bit|type_traits|limits|utility|new|"
                       r"fcntl\.h|sched\.h|unistd\.h|linux/.*|sys/.*|errno\.h|string\.h|time\.h)$")


def tracked(*patterns):
    out = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard",
                          *patterns], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [path for path in out.splitlines() if (ROOT / path).exists()]


def sources():
    return tracked("*.h", "*.hpp", "*.cc", "*.c")


def includes(path):
    text = (ROOT / path).read_text()
    return [(kind, name) for kind, name in re.findall(r'^\s*#\s*include\s*([<"])([^>"]+)', text,
                                                      re.MULTILINE)]


def folder_rule(path):
    for folder in ("shm/base", "shm/libdeja"):
        if path.startswith(folder + "/"):
            return folder
    return path.split("/")[0]


def violations():
    for path in sources():
        allowed = MAY_INCLUDE.get(folder_rule(path))
        for kind, name in includes(path):
            if kind == '"':
                if allowed is None:
                    continue
                top = folder_rule(name) if folder_rule(name) in allowed else name.split("/")[0]
                if "/" not in name:
                    yield f"{path}: include \"{name}\" from the project's root"
                elif top not in allowed:
                    yield f"{path}: must not include {name}"
            else:
                for pattern, homes in HOMES.items():
                    if (re.fullmatch(pattern, name) and allowed is not None
                            and not any(path.startswith(home) for home in homes)):
                        yield f"{path}: {name} has its home in {', '.join(sorted(homes))}"


def libdeja_closure():
    """Every file that libdeja is made of, by following its includes."""
    todo = tracked("shm/libdeja/*.cc") + ["shm/deja.h", "shm/deja.hpp"]
    seen = set()
    while todo:
        path = todo.pop()
        if path in seen or not (ROOT / path).exists():
            continue
        seen.add(path)
        todo += [name for kind, name in includes(path) if kind == '"']
    return seen


def test_folders_include_only_what_they_may():
    assert sources(), "no sources found: this test would pass on nothing"
    assert list(violations()) == []


def test_an_include_against_the_rule_is_found(tmp_path, monkeypatch):
    (tmp_path / "ingest").mkdir()
    (tmp_path / "ingest/bad.cc").write_text('#include "workers/event.h"\n#include <hiredis/hiredis.h>\n')
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    monkeypatch.setitem(globals(), "sources", lambda: ["ingest/bad.cc"])
    found = list(violations())
    assert len(found) == 2, found


def test_libdeja_is_made_of_shm_and_libc_alone():
    closure = libdeja_closure()
    if not any(path.startswith("shm/libdeja/") for path in closure):
        pytest.fail("libdeja has no sources")
    wrong = [f"{path}: <{name}>" for path in sorted(closure) if path != "shm/deja.hpp"
             for kind, name in includes(path) if kind == "<" and not LIBC_ONLY.match(name)]
    assert wrong == []
    assert [path for path in closure if not path.startswith("shm/")] == []


def test_the_top_level_is_as_agreed():
    names = {path.split("/")[0] for path in tracked()}
    assert {name for name in names if not name.startswith(".")} <= TOP_LEVEL


def test_a_header_opens_with_what_it_is():
    wrong = [path for path in sources() if path.endswith((".h", ".hpp"))
             and not (ROOT / path).read_text().startswith(("//", "/*"))]
    assert wrong == []


def test_no_work_is_left_for_later():
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    wrong = [path for path in sources() if marks.search((ROOT / path).read_text())]
    assert wrong == []


def test_every_folder_has_its_chapter():
    for folder in ("ingest", "ring", "workers", "shm", "tools", "tests", "bench", "tuning"):
        readme = ROOT / folder / "README.md"
        assert readme.exists() and len(readme.read_text()) > 400, f"{folder}/README.md"


def test_links_in_the_documentation_lead_somewhere():
    wrong = []
    for path in tracked("*.md"):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / path).read_text()):
            if not ((ROOT / path).parent / link).exists():
                wrong.append(f"{path}: {link}")
    assert wrong == []


def test_every_metric_says_what_it_is():
    named = set()
    for path in sources():
        if path.split("/")[0] in {"ingest", "ring", "shm", "workers", "tools"} and "metric_help" not in path:
            named |= set(re.findall(r'"(deja_[a-z_]+?)(?:\{|")', (ROOT / path).read_text()))
    named = {name.replace("_microseconds", "_seconds") for name in named}  # as /metrics shows them
    helped = re.findall(r'\{"(deja_[a-z_]+)", *\n? *"', (ROOT / "tools/console/metric_help.h").read_text())
    assert helped == sorted(helped)
    assert named - set(helped) == set()
    assert set(helped) - named == set()


def test_every_mutant_s_text_is_in_its_file_once():
    """The long run of tools/dev mutants would say so too, an hour after the change."""
    wrong = []
    for catalogue in sorted((ROOT / "tests/mutants").glob("*.toml")):
        for mutant in tomllib.loads(catalogue.read_text())["mutant"]:
            if (ROOT / mutant["file"]).read_text().count(mutant["was"]) != 1:
                wrong.append(f"{catalogue.name}: {mutant['name']}")
    assert wrong == []
