"""The documentation is held to the program: what is generated, keys, topics, paths, verbs, every link."""

import importlib.util
import json
import pkgutil
import re
import shlex
from pathlib import Path
from urllib.parse import unquote

import attrs
import pytest
from support.generated import BEGIN, COMMAND, stale
from support.listening import MAC, Air
from support.pages import PAGES, ROOT, anchors, blocks, code, page, section, tables

from proxy_listener import __version__, sinks
from proxy_listener.capture.lines import parse
from proxy_listener.config import Config, load
from proxy_listener.config.document import TABLES
from proxy_listener.model.errors import ConfigError
from proxy_listener.model.reading import as_json
from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import DeviceSettings

DOCS = [each for each in PAGES if each.parent != ROOT]


def test_what_is_generated_is_up_to_date():
    """The golden discovery and the table of devices are those of the model table."""
    assert [str(path.relative_to(ROOT)) for path in stale()] == [], f"run: {COMMAND}"


def test_the_device_table_stands_in_the_documentation():
    """Exactly one page has it."""
    assert [path.name for path in PAGES if BEGIN in path.read_text()] == ["devices.md"]


SETTINGS = page("configuration.md")
HEADINGS = re.findall(r"^## (\[.*\])$", SETTINGS, re.MULTILINE)
KEYS = [(heading, row) for heading in HEADINGS for row in tables(section(SETTINGS, f"## {heading}"))[0]]

REQUIRED = {"[[proxy]]": {"name": '"kitchen"'}, "[[device]]": {"mac": '"A4:C1:38:02:83:F4"'}}
WRONG = ('"two words"', '""', "-1", "true", "3", '"1ms"', '"11s"', '"61s"', '"1MB"', '"abc"', '["x"]')
"""Values of which each key refuses at least one."""


def read_table(tmp_path, heading: str, keys: dict[str, str]) -> Config:
    path = tmp_path / "devices.toml"
    lines = [f"{key} = {value}" for key, value in (REQUIRED.get(heading, {}) | keys).items()]
    path.write_text("\n".join([heading, *lines, ""]))
    path.chmod(0o600)
    return load(path)


def settings_of(config: Config, heading: str) -> object:
    """The value that a table became."""
    name = heading.strip("[]")
    if name.startswith("sink."):
        return config.sinks[name.removeprefix("sink.")]
    kept = {"proxy": "proxies", "device": "devices", "devices": "unlisted"}
    found = getattr(config, kept.get(name, name))
    return found[0] if heading.startswith("[[") else found


def test_every_table_of_the_configuration_is_documented():
    """Also each sink's."""
    names = {heading.strip("[]") for heading in HEADINGS}
    assert names == {*TABLES} - {"sink"} | {f"sink.{sink.name}" for sink in pkgutil.iter_modules(sinks.__path__)}


@pytest.mark.parametrize("heading", HEADINGS)
def test_every_key_of_a_table_is_documented_and_no_other(heading, tmp_path):
    rows = tables(section(SETTINGS, f"## {heading}"))[0]
    kind = type(settings_of(read_table(tmp_path, heading, {}), heading))
    assert [code(row[0]) for row in rows] == [[field.name] for field in attrs.fields(kind)] or {
        code(row[0])[0] for row in rows
    } == {field.name for field in attrs.fields(kind)}


@pytest.mark.parametrize(("heading", "row"), [pytest.param(h, r, id=f"{h}{code(r[0])[0]}") for h, r in KEYS])
def test_the_default_of_a_key_is_the_documented_one(heading, row, tmp_path):
    """The documented default, written out, makes the same settings as an empty table; a required key has none."""
    (key,), default = code(row[0]), row[2]
    empty = settings_of(read_table(tmp_path, heading, {}), heading)
    if default == "required":
        assert REQUIRED[heading].keys() == {key}
    elif default == "none":
        assert getattr(empty, key) is None
    else:
        assert settings_of(read_table(tmp_path, heading, {key: code(default)[0]}), heading) == empty


@pytest.mark.parametrize(("heading", "row"), [pytest.param(h, r, id=f"{h}{code(r[0])[0]}") for h, r in KEYS])
def test_a_key_refuses_with_the_documented_message(heading, row, tmp_path):
    """And the message names the key."""
    (key,), (message,) = code(row[0]), code(row[4])
    said = []
    for wrong in WRONG:
        try:
            read_table(tmp_path, heading, {key: wrong})
        except ConfigError as error:
            said += [str(problem) for problem in error.problems]
    assert [text for text in said if message in text and re.search(rf"\.{key}(\[1\])?: ", text)], said


def test_the_example_of_the_repository_names_every_documented_key():
    """Commented out or not."""
    example = (ROOT / "devices.toml").read_text()
    missing = [
        code(row[0])[0] for _, row in KEYS if not re.search(rf"^#? ?{code(row[0])[0]} = ", example, re.MULTILINE)
    ]
    assert not missing


@pytest.mark.parametrize(
    "text", [pytest.param(text, id=path.name) for path in DOCS for text in blocks(path.read_text(), "toml")]
)
def test_every_configuration_of_the_documentation_loads(text, tmp_path):
    text = re.sub(r'noise_psk = \{ file = "[^"]+" \}', f'noise_psk = "{"A" * 43}="', text)
    text = re.sub(r'\{ file = "([^"]+)" \}', r'"secret from \1"', text)
    path = tmp_path / "devices.toml"
    path.write_text(text)
    path.chmod(0o600)
    load(path)


def test_shell_blocks_are_shell():
    for path in DOCS:
        for block in blocks(path.read_text(), "sh"):
            for line in block.splitlines():
                shlex.split(line, comments=True)


def test_the_example_of_a_reading_has_the_keys_of_a_reading_in_their_order():
    (example,) = blocks(section(page("operating.md"), "## A reading"), "json")
    air = Air(DeviceSettings(mac=MAC, bindkey=(Secret("e9ea895fac7cca6d30532432a516f3a8"),)))
    air.say(bytes.fromhex("58585b0550f4830238c1a495ef58763c26000097e2abb5"))
    reading = json.loads(as_json(air.readings[0]))
    assert list(json.loads(example)) == list(reading)
    (rows,) = tables(section(page("operating.md"), "## A reading"))
    assert {key for row in rows for key in code(row[0])} == reading.keys()


def test_the_example_of_a_capture_is_a_line_of_one():
    (example,) = blocks(section(page("operating.md"), "## Captures"), "json")
    line = parse(example.replace("...", ""))
    assert (line.address, line.proxy) == (MAC, "kitchen-proxy")


def test_every_verb_is_documented_and_no_other():
    from proxy_listener.cli import main

    named = [code(row[0])[0] for row in tables(page("verbs.md"))[0]]
    assert {name.split()[0] for name in named} == set(main.list_commands(None))
    for group in {name.split()[0] for name in named if " " in name}:
        command = main.get_command(None, group)
        assert {name.split()[1] for name in named if name.startswith(f"{group} ")} == set(command.commands)


def test_the_verbs_in_the_documentation_exist():
    from proxy_listener.cli import main

    for path in PAGES:
        named = set(re.findall(r"`proxy-listener ([a-z]+)\b", path.read_text()))
        assert named <= set(main.list_commands(None)), path


def test_the_options_that_the_verbs_page_names_exist():
    from proxy_listener.cli import main

    for row in tables(page("verbs.md"))[0]:
        verb, *under = code(row[0])[0].split()
        command = main.get_command(None, verb)
        for name in under:
            command = command.commands[name]
        options = {option for parameter in command.params for option in parameter.opts}
        assert set(re.findall(r"`(--[a-z-]+)", row[1])) <= options, verb


def test_the_tables_of_the_verbs_are_theirs():
    """The headings of the samples are those that the verbs print."""
    from proxy_listener.cli.rows import HISTORY_HEAD, PROXY_COVERAGE_HEAD, PROXY_HEAD, ROUTE_HEAD

    lines = {" ".join(line.split()) for line in section(page("verbs.md"), "## Samples").splitlines()}
    for head in (PROXY_HEAD, HISTORY_HEAD, ROUTE_HEAD, PROXY_COVERAGE_HEAD):
        assert " ".join(head) in lines


def test_the_exit_statuses_are_those_of_the_program():
    from proxy_listener.cli import verb

    (rows,) = tables(section(page("verbs.md"), "## Exit status"))
    assert {int(row[0]) for row in rows} == {0, verb.FAILED, 2, verb.NO_SERVICE, verb.BAD_CONFIGURATION}


def test_the_paths_of_the_api_are_those_that_are_served():
    """Each route with its method and its query parameters, and no other."""
    from proxy_listener.web.routes import ROUTES

    (rows,) = tables(section(page("api.md"), "## Paths"))
    served = {(f"{route.method} {route.path}", route.query) for route in ROUTES if route.summary}
    assert {(code(row[0])[0], tuple(code(row[1]))) for row in rows} == served


def test_the_topics_are_those_that_are_published():
    from proxy_listener.sinks.mqtt.topics import Topics

    (rows,) = tables(section(page("mqtt.md"), "## Topics"))
    topics = Topics("<base>", "<prefix>")
    given = [topics.bridge, topics.event("<id>", "<kind>"), topics.service_config.replace("_base_", "<base>")]
    names = ("proxy", "state", "availability", "read", "history", "device_config", "proxy_config")
    assert {code(row[0])[0] for row in rows} == {*given, *(getattr(topics, name)("<id>") for name in names)}
    assert f"`{topics.birth}`" in page("mqtt.md")


LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]+)\)")
CITATION = re.compile(r"\bdocs/[\w./-]+\.md(?:#[\w-]+)?")
SOURCES = [
    path
    for folder in ("proxy_listener", "tests", ".github", ".ci")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".py", ".js", ".md", ".yml", ".service", ".yaml"}
]


def broken(target: str, origin) -> str | None:
    """Why a link leads nowhere; None where it does not."""
    name, _, anchor = unquote(target).partition("#")
    path = (origin.parent / name).resolve() if name else origin
    if not path.exists():
        return f"{origin.relative_to(ROOT)}: {target}: no such file"
    if anchor and anchor not in anchors(path.read_text()):
        return f"{origin.relative_to(ROOT)}: {target}: no such heading"
    return None


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(path):
    """To a file of the repository, and to a heading in it."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert not [fault for target in LINK.findall(text) if (fault := broken(target, path))]


def test_every_page_that_is_cited_exists_with_its_heading():
    """In code, tests, templates and the example of a configuration."""
    found = {}
    for path in (*SOURCES, ROOT / "devices.toml"):
        for target in CITATION.findall(path.read_text()):
            fault = broken(target, ROOT / "README.md")
            if fault:
                found[str(path.relative_to(ROOT))] = fault
    assert not found


def test_the_rooms_of_the_architecture_are_those_that_the_imports_are_held_to():
    """Each room with what it may import, and no other."""
    spec = importlib.util.spec_from_file_location("import_table", ROOT / "tests" / "test_imports.py")
    table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(table)
    (rows,) = tables(section(page("architecture.md"), "## Rooms"))
    rooms = {code(row[0])[0]: (set(code(row[2])), set(code(row[3]))) for row in rows if len(code(row[0])) == 1}
    assert rooms == table.ROOMS
    order = [code(row[0])[0] if code(row[0]) else row[0] for row in rows]
    assert set(order[: order.index("*the IO line*")]) == table.ABOVE
    (leaves,) = [code(row[0]) for row in rows if len(code(row[0])) > 1]
    assert set(leaves) | {"__main__"} == table.LEAVES


def test_every_file_that_a_recipe_names_exists():
    """Paths, and tests by their names."""
    text = re.sub(r"<\w+>", "<>", page("adding.md") + page("architecture.md") + (ROOT / "CONTRIBUTING.md").read_text())
    paths = re.findall(r"`((?:proxy_listener|tests|docs|\.ci)/[\w./]+)`", text)
    assert len(paths) > 40
    assert [path for path in paths if not (ROOT / path).exists()] == []
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name in re.findall(r"`(?:[\w/.]+::)?(test_\w+)`", text) if f"def {name}(" not in tests] == []


def test_no_word_stands_twice_in_the_glossary():
    """One word for each thing, one line for each word."""
    words = [row[0] for table in tables(page("glossary.md")) for row in table]
    assert len(words) == len(set(words))


def test_the_changelog_has_the_version_of_the_program():
    """Its newest heading."""
    newest = re.search(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1]
    assert newest == __version__


def test_no_code_cites_what_is_not_in_the_repository():
    """What code rests on is in ``docs/``; ``facts:`` and a design were notes that no reader of the code has."""
    cites = re.compile(r"\bfacts(:|/| about|\))|\bthe facts\b|\bDESIGN\b")
    here = Path(__file__).name
    found = [path.relative_to(ROOT) for path in SOURCES if cites.search(path.read_text()) and path.name != here]
    assert found == []
