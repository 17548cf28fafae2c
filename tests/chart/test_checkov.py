"""checkov's findings on all that the chart renders are those that its README gives reasons for, and no others."""

import json
import re
import subprocess

import pytest

from chart import CASES, PATH, ROOT, case, is_own, pods, render

CHECKOV = ROOT / ".run" / "tools" / "checkov" / "bin" / "checkov"


@pytest.fixture(scope="module")
def findings(tmp_path_factory) -> set[str]:
    folder = tmp_path_factory.mktemp("rendered")
    for name in CASES:
        objects = render(case(name))
        for _, pod in pods(objects):
            for key in pod["spec"].keys() & {"containers", "initContainers"}:
                # Those that the case itself adds are not the chart's.
                pod["spec"][key] = [it for it in pod["spec"][key] if is_own(it)]
        for number, it in enumerate(objects):
            (folder / f"{name}-{number}.yaml").write_text(json.dumps(it))
    words = ["--framework", "kubernetes", "--quiet", "--compact", "--output", "json", "--skip-download", "--soft-fail"]
    done = subprocess.run([CHECKOV, "--directory", folder, *words], capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0 and report["summary"]["passed"] > 1000
    return {it["check_id"] for it in report["results"]["failed_checks"]}


def test_each_finding_has_its_reason(findings):
    explained = set(re.findall(r"^\| (CKV\w+) ", (PATH / "README.md").read_text(), re.MULTILINE))
    assert findings == explained
