"""What the chart tells the service is what the service understands: `twitter-channel check` says so of every case."""

import os
import subprocess
import tomllib
from pathlib import Path

import pytest

from chart import CASES, ROOT, case, find, render, value_at
from test_render import serving

BINARY = Path(os.environ.get("TWITTER_CHANNEL_BINARY", ROOT / "target" / "debug" / "twitter-channel"))
# What Secrets of ops hold, by the file that the service reads it from.
CREDENTIALS = {
    "secret-key": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    "private-token": "a-token-of-at-least-thirty-two-characters",
    "broker-url": "amqps://x:pass@rabbitmq:5671/x",
    "broker-username": "default_user_x",
    "broker-password": "pass",
    "store-url": "postgres://x:pass@postgres:5432/x",
}


@pytest.fixture(scope="session")
def certificate(tmp_path_factory) -> dict[str, str]:
    """A certificate, its key, and it again as authority."""
    folder = tmp_path_factory.mktemp("certificate")
    key, crt = folder / "key", folder / "crt"
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=x"]
    subprocess.run(["openssl", "req", *kind, "-keyout", key, "-out", crt], check=True, capture_output=True)
    text = crt.read_text()
    return {"store-ca.crt": text, "broker-ca.crt": text, "broker-client.crt": text, "broker-client.key": key.read_text()}


@pytest.mark.parametrize("name", CASES)
def test_the_service_takes_what_the_chart_gives_it(name, tmp_path, certificate):
    done = check(case(name), tmp_path, CREDENTIALS | certificate)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_setting_that_the_service_does_not_know_is_found(tmp_path, certificate):
    values = case("sqlite") | {"extraEnvVars": [{"name": "TWITTER_CHANNEL__PUBLIC__UR", "value": "x"}]}
    done = check(values, tmp_path, CREDENTIALS | certificate)
    assert done.returncode == 64 and "public.ur: unknown key" in done.stderr


def test_each_setting_has_a_default_in_the_reference():
    reference = tomllib.loads((ROOT / "config" / "default.toml").read_text())
    names = {it["name"] for name in CASES for it in serving(case(name))["env"]}
    for name in sorted(names):
        if name.startswith("TWITTER_CHANNEL__"):
            path = name.removeprefix("TWITTER_CHANNEL__").lower().split("__")
            keys = {".".join(path), ".".join(path).removesuffix("_file")}
            assert any(value_at(reference, key) is not None for key in keys), name


def check(values: dict, folder: Path, credentials: dict[str, str]) -> subprocess.CompletedProcess:
    """`twitter-channel check` with environment, settings file and Secrets of the pod below `folder`."""
    container = serving(values)
    moved = {"/etc/twitter-channel": str(folder), "/run/secrets": str(folder), "$(POD_IP)": "10.1.2.3", "$(POD_NAME)": "x-0"}
    env = {}
    for it in container["env"]:
        env[it["name"]] = replaced(it.get("value", ""), moved)
    write_mounts(values, container, folder, credentials, moved)
    words = container["args"]
    config = words[words.index("--config") :] if "--config" in words else []
    args = ["check", *(replaced(word, moved) for word in config)]
    return subprocess.run([BINARY, *args], env=env, capture_output=True, text=True, timeout=60)


def write_mounts(values: dict, container: dict, folder: Path, credentials: dict[str, str], moved: dict[str, str]) -> None:
    kind = "Deployment" if value_at(values, "store.kind") == "postgresql" else "StatefulSet"
    spec = find(render(values), kind)["spec"]["template"]["spec"]
    (config,) = (volume for volume in spec["volumes"] if volume["name"] == "config")
    assert any(mount["mountPath"] == "/etc/twitter-channel" for mount in container["volumeMounts"])
    for source in config["projected"]["sources"]:
        ((_, content),) = source.items()
        for item in content["items"]:
            path = folder / item["path"]
            path.parent.mkdir(exist_ok=True)
            path.write_text(replaced(values.get("config", ""), moved) if item["path"] == "config.toml" else credentials[path.name])
    for each in values.get("secretFiles", []):
        assert any(mount["mountPath"] == f"/run/secrets/{each['name']}" for mount in container["volumeMounts"])
        (folder / each["name"]).mkdir()
        for file in ["consumer-key", "consumer-secret", "access-token", "access-token-secret"]:
            (folder / each["name"] / file).write_text("of-x")


def replaced(text: str, by: dict[str, str]) -> str:
    for old, new in by.items():
        text = text.replace(old, new)
    return text
