"""Writes the table of values of helm/twitter-channel/README.md from the comments in values.yaml."""

import json

from chart import PATH, chart, comments, sections_and_values, value_at

BEGIN, END = "<!-- values -->\n", "<!-- end of values -->\n"


def table() -> str:
    told, defaults = comments(), chart().values
    rows = ["| value | default | |", "|---|---|---|"]
    for path, is_value in sections_and_values(chart().schema):
        comment = told.get(path, "").removeprefix(path).removeprefix(",").strip().replace("|", "\\|")
        rows.append(f"| `{path}` | {shown(value_at(defaults, path)) if is_value else ''} | {comment} |")
    return "\n".join(rows) + "\n"


def shown(value: object) -> str:
    text = json.dumps(value)
    return f"`{text}`" if len(text) <= 40 else "see values.yaml"


def with_table(text: str) -> str:
    before, rest = text.split(BEGIN)
    return before + BEGIN + "\n" + table() + "\n" + END + rest.split(END)[1]


if __name__ == "__main__":
    path = PATH / "README.md"
    path.write_text(with_table(path.read_text()))
