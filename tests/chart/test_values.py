"""Values, their comments, their schema and the table of the README are one."""

import re

import pytest

import readme
from chart import CASES, PATH, case, chart, comments, sections_and_values, value_at

SCHEMA = chart().schema
KNOWN = sections_and_values(SCHEMA)


def test_each_value_has_a_comment_that_begins_with_its_name():
    told = comments()
    without = [path for path, _ in KNOWN if not re.match(re.escape(path) + r"\b", told.get(path, ""))]
    assert without == []


def test_schema_and_values_know_the_same_keys():
    found = []

    def walk(values: dict, schema: dict, path: str) -> None:
        assert set(values) == set(schema["properties"]), path
        for key, value in values.items():
            name = f"{path}.{key}" if path else key
            found.append(name)
            if not dict(KNOWN)[name]:
                walk(value, schema["properties"][key], name)

    walk(chart().values, SCHEMA, "")
    assert sorted(found) == sorted(path for path, _ in KNOWN)


def test_sections_refuse_what_they_do_not_know():
    def walk(schema: dict) -> None:
        if "properties" in schema:
            assert schema["additionalProperties"] is False
            for below in schema["properties"].values():
                walk(below)

    walk(SCHEMA)


@pytest.mark.parametrize("name", CASES)
def test_cases_fit_the_schema(name):
    chart().validate_schema(case(name))


def test_each_option_is_taken_in_some_case():
    defaults = chart().values
    # Plain replacements, of which another value shows nothing new.
    plain = re.compile(r"global|image\.repository|(.*\.)?(resources|interval|scrapeTimeout|size|\w*Key|\w*Limit)|.*Probe|podSecurityContext")
    never, cases = [], [case(name) for name in CASES]
    for path, is_value in KNOWN:
        given = [value_at(values, path) for values in cases]
        if is_value and not plain.fullmatch(path) and all(it in (None, value_at(defaults, path)) for it in given):
            never.append(path)
    assert never == [], never


def test_each_value_is_read_by_a_template():
    texts = "\n".join(it["data"] for it in chart().templates)
    unread = []
    for path, is_value in KNOWN:
        last = path.split(".")[-1]
        if is_value and path != "global" and not re.search(rf"\.{last}\b", texts):
            unread.append(path)
    assert unread == []


def test_the_readme_shows_the_values():
    written = (PATH / "README.md").read_text()
    assert readme.with_table(written) == written, "run: .run/tools/chart/bin/python tests/chart/readme.py"
