"""The chart as Helm's own engine renders it, and its values with their comments."""

import functools
import json
import re
from pathlib import Path

import yaml
from helm_python import Chart

ROOT = Path(__file__).parents[2]
PATH = ROOT / "helm" / "twitter-channel"
CASES = sorted(path.name.removesuffix("-values.yaml") for path in (PATH / "ci").iterdir())


@functools.cache
def chart() -> Chart:
    return Chart.load(PATH)


def case(name: str) -> dict:
    """The values of one file in ci/."""
    return load((PATH / "ci" / f"{name}-values.yaml").read_text())[0]


def load(text: str) -> list[dict]:
    """All documents in a text that are not empty."""
    return [each for each in yaml.load_all(text, Loader=yaml.CSafeLoader) if each]


def notes(values: dict) -> str:
    return _rendered(values)["twitter-channel/templates/NOTES.txt"]


def render(values: dict) -> list[dict]:
    """All objects, tests included."""
    texts = [text for name, text in _rendered(values).items() if name.endswith(".yaml")]
    return [each for text in texts for each in load(text)]


def find(objects: list[dict], kind: str, name: str = "") -> dict:
    """The one object of that kind (and name)."""
    (found,) = (it for it in objects if it["kind"] == kind and name in ("", it["metadata"]["name"]))
    return found


def pods(objects: list[dict]) -> list[tuple[dict, dict]]:
    """Each object that runs pods, with the template of its pod."""
    templates = {
        "Pod": lambda it: it,
        "CronJob": lambda it: it["spec"]["jobTemplate"]["spec"]["template"],
        "Deployment": lambda it: it["spec"]["template"],
        "StatefulSet": lambda it: it["spec"]["template"],
    }
    return [(it, templates[it["kind"]](it)) for it in objects if it["kind"] in templates]


def is_own(container: dict) -> bool:
    """Whether the chart made it, not the values of a case."""
    return re.search(r"twitter-channel[:@]", container["image"]) is not None


def with_value(values: dict, path: str, value: object) -> dict:
    """A copy of the values with another one at a dotted path."""
    key, _, rest = path.partition(".")
    return values | {key: with_value(values.get(key, {}), rest, value) if rest else value}


def value_at(values: dict, path: str, otherwise: object = None) -> object:
    """What stands at a dotted path."""
    for key in path.split("."):
        if not isinstance(values, dict) or key not in values:
            return otherwise
        values = values[key]
    return values


def sections_and_values(schema: dict, path: str = "") -> list[tuple[str, bool]]:
    """Dotted paths of the schema, in its order, each with whether it is a value: not split further."""
    found = []
    for key, below in schema["properties"].items():
        name = f"{path}.{key}" if path else key
        section = "properties" in below and below.get("additionalProperties") is False
        section = section and name not in MAPS
        found.append((name, not section))
        found += sections_and_values(below, name) if section else []
    return found


# Values that are maps of a known shape, all of whose keys are optional.
MAPS = {"broker.topologyOperator.clusterReference", "broker.topologyOperator.permissions"}


def comments() -> dict[str, str]:
    """The comment above each key of values.yaml, by the key's dotted path."""
    found, path, lines = {}, [], []
    for line in (PATH / "values.yaml").read_text().splitlines():
        comment, key = re.match(r" *# ?(.*)", line), re.match(r"( *)(\w+):", line)
        if comment:
            lines.append(comment[1])
            continue
        if key:
            path = path[: len(key[1]) // 2] + [key[2]]
            if lines:
                found[".".join(path)] = " ".join(lines)
        lines = []
    return found


def _rendered(values: dict) -> dict[str, str]:
    return _rendered_from(json.dumps(values))


@functools.cache
def _rendered_from(values: str) -> dict[str, str]:
    return chart().render(json.loads(values), name="acme", namespace="desk")
