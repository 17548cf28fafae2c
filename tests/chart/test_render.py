"""Every option renders to objects that Kubernetes and the operators take, and that do what the values say."""

import json
import re

import helm_python
import pytest

from chart import CASES, PATH, ROOT, case, chart, find, is_own, load, notes, pods, render, value_at, with_value
from shapes import validate

RESTRICTED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "runAsNonRoot": True}


@pytest.fixture(scope="module", params=CASES)
def objects(request):
    return render(case(request.param))


@pytest.mark.parametrize("kubernetes", ["1.30", "1.37"])
def test_objects_are_what_kubernetes_takes(objects, kubernetes):
    for it in objects:
        validate(it, kubernetes)


@pytest.mark.parametrize("name", CASES)
def test_the_oldest_kubernetes_takes_what_is_rendered_for_it(name):
    oldest = re.search(r"1\.\d+", chart().metadata["kubeVersion"])[0]
    for it in render(case(name) | {"kubeVersion": oldest}):
        validate(it, oldest)


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("StatefulSet", "spec.replica", 1),
        ("ServiceMonitor", "spec.intervall", "30s"),
        ("PrometheusRule", "spec.groups", [{"name": "x", "rules": [{"alert": "X", "exprs": "1"}]}]),
        ("Ingress", "spec.rules", "none"),
        ("Queue", "spec.exclusive", True),
        ("HTTPRoute", "spec.hosts", []),
    ],
)
def test_a_wrong_field_is_found(kind, path, value):
    all_cases = (it for name in CASES for it in render(case(name)))
    it = next(it for it in all_cases if it["kind"] == kind)
    with pytest.raises(Exception, match="."):
        validate(with_value(it, path, value), "1.37")


@pytest.mark.parametrize("name", CASES)
def test_lint_finds_nothing(name):
    report = helm_python.lint(PATH, case(name), strict=True, namespace="desk")
    told = [it for it in report["messages"] if it["severity"] > 1]
    assert (told, report["errors"]) == ([], [])


def test_names_are_unique_and_not_too_long(objects):
    names = [(it["kind"], it["metadata"].get("namespace"), it["metadata"]["name"]) for it in objects]
    assert len(names) == len(set(names))
    assert all(len(name) <= 63 for _, _, name in names)


def test_a_long_release_name_is_cut():
    rendered = chart().render(case("everything-sqlite"), name="a" * 53, namespace="desk")
    names = re.findall(r"^  name: (\S+)$", "\n".join(rendered.values()), re.MULTILINE)
    # A CronJob's name has 52 characters at most: it is the beginning of those of its jobs.
    assert names and max(map(len, names)) <= 63
    cron = load(rendered["twitter-channel/templates/backup.yaml"])
    assert len(find(cron, "CronJob")["metadata"]["name"]) <= 52


def test_labels_are_the_usual_ones(objects):
    for it in objects:
        if it["metadata"]["name"].endswith(("-more", "-text")):
            continue  # of extraDeploy
        labels = it["metadata"]["labels"]
        for label in ["name", "instance", "version", "component", "part-of", "managed-by"]:
            assert labels[f"app.kubernetes.io/{label}"]
        assert labels["helm.sh/chart"] == f"twitter-channel-{chart().version}"


def test_selectors_find_the_pods_that_serve_and_no_others(objects):
    kind = "StatefulSet" if any(it["kind"] == "StatefulSet" for it in objects) else "Deployment"
    workload = find(objects, kind)
    selectors = [it["spec"]["selector"] for it in objects if it["kind"] == "Service"]
    selectors.append(workload["spec"]["selector"]["matchLabels"])
    selectors += [it["spec"]["podSelector"]["matchLabels"] for it in objects if it["kind"] == "NetworkPolicy"]
    for it, pod in pods(objects):
        labels = pod["metadata"]["labels"].items()
        serves = it is workload
        assert all((selector.items() <= labels) is serves for selector in selectors), it["metadata"]["name"]


def test_pods_meet_the_restricted_standard(objects):
    for _, pod in pods(objects):
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert own_containers(spec)
        for it in own_containers(spec):
            context = it["securityContext"]
            assert context.items() >= RESTRICTED.items()
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["runAsUser"] >= 10000
            assert it["resources"]["requests"] and it["resources"]["limits"]["memory"]


def test_no_shell_is_needed(objects):
    for _, pod in pods(objects):
        for it in own_containers(pod["spec"]):
            assert it["command"] == ["/usr/local/bin/twitter-channel"]
            assert "exec" not in json.dumps([value for key, value in it.items() if "Probe" in key or key == "lifecycle"])


def test_mounts_have_volumes_and_do_not_lie_in_each_other(objects):
    for it, pod in pods(objects):
        claims = [claim["metadata"]["name"] for claim in it["spec"].get("volumeClaimTemplates", [])]
        volumes = [volume["name"] for volume in pod["spec"]["volumes"]] + claims
        assert len(volumes) == len(set(volumes))
        for container in containers(pod["spec"]):
            mounts = container.get("volumeMounts", [])
            assert {mount["name"] for mount in mounts} <= set(volumes)
            paths = sorted(mount["mountPath"] + "/" for mount in mounts)
            assert not any(inner.startswith(outer) for outer, inner in zip(paths, paths[1:]))


def test_secrets_lie_in_files_only(objects):
    for _, pod in pods(objects):
        for container in containers(pod["spec"]):
            env = {it["name"]: it.get("value", "") for it in container.get("env", [])}
            files = [value for name, value in env.items() if name.endswith("_FILE")]
            assert all(value.startswith("/etc/twitter-channel/credentials/") for value in files)
            assert not any("x:pass@" in value or "token-of" in value for value in env.values())


def test_sqlite_is_one_pod_on_a_volume():
    it = find(render(case("everything-sqlite")), "StatefulSet")
    assert it["spec"]["replicas"] == 1
    (claim,) = it["spec"]["volumeClaimTemplates"]
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "local-ssd",
        "resources": {"requests": {"storage": "20Gi"}},
    }
    assert not [it for it in render(case("everything-sqlite")) if it["kind"] == "PodDisruptionBudget"]


def test_sqlite_notes_tell_what_an_upgrade_costs():
    told = notes(case("sqlite"))
    assert "503" in told and "gap filler" in told
    assert "503" not in notes(case("autoscaling"))


def test_postgresql_rolls_without_a_gap():
    objects = render(case("everything-postgresql"))
    it = find(objects, "Deployment")
    assert it["spec"]["replicas"] == 3
    assert it["spec"]["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    assert find(objects, "PodDisruptionBudget")["spec"]["minAvailable"] == 2
    lifecycle = it["spec"]["template"]["spec"]["containers"][0]["lifecycle"]
    assert lifecycle == {"preStop": {"sleep": {"seconds": 10}}}


def test_replicas_tell_each_other_where_they_are():
    it = find(render(case("everything-postgresql")), "Deployment")
    env = [each for each in it["spec"]["template"]["spec"]["containers"][0]["env"]]
    names = [each["name"] for each in env]
    # A variable is only put into those that come after it.
    assert names.index("POD_IP") < names.index("TWITTER_CHANNEL__PRIVATE__ADVERTISE")
    assert {"name": "TWITTER_CHANNEL__PRIVATE__ADVERTISE", "value": "http://$(POD_IP):8081"} in env
    own = {"app.kubernetes.io/name": "twitter-channel", "app.kubernetes.io/instance": "acme"}
    policy = find(render(case("sqlite")), "NetworkPolicy")
    public, private = policy["spec"]["ingress"]
    assert public == {"ports": [{"port": "public"}]}
    assert private["from"][0] == {"podSelector": {"matchLabels": own}}


def test_replicas_share_files_where_they_can():
    volumes = {}
    for name in ["everything-postgresql", "autoscaling"]:
        spec = find(render(case(name)), "Deployment")["spec"]["template"]["spec"]
        volumes[name] = next(volume for volume in spec["volumes"] if volume["name"] == "data")
        folder = {"name": "TWITTER_CHANNEL__ATTACHMENTS__FOLDER", "value": "/var/lib/twitter-channel/files"}
        assert folder in spec["containers"][0]["env"]
    assert volumes["everything-postgresql"]["persistentVolumeClaim"] == {"claimName": "acme-files"}
    assert volumes["autoscaling"]["emptyDir"] == {"sizeLimit": "1Gi"}


def test_an_autoscaled_deployment_leaves_its_replicas_alone():
    objects = render(case("autoscaling"))
    assert "replicas" not in find(objects, "Deployment")["spec"]
    scaler = find(objects, "HorizontalPodAutoscaler")["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 7)
    assert find(objects, "PodDisruptionBudget")["spec"]["maxUnavailable"] == "50%"


def test_before_kubernetes_1_30_there_is_no_sleep():
    sleeps = {
        version: "lifecycle" in serving(with_value(case("sqlite"), "kubeVersion", version))
        for version in ["1.29", "v1.29.9", "1.30", "v1.30.1-gke.100", "1.37"]
    }
    assert sleeps == {"1.29": False, "v1.29.9": False, "1.30": True, "v1.30.1-gke.100": True, "1.37": True}
    assert "older than 1.30" in notes(case("claims"))


@pytest.mark.parametrize(
    ("path", "value", "annotation"),
    [
        ("config", '[log]\nlevel = "debug"\n', "checksum/config"),
        ("broker.url", "amqp://x:other@rabbitmq:5672/x", "checksum/secret"),
        ("private.token.value", "another-token-of-at-least-32-characters", "checksum/secret"),
        ("secretKey.value", "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=", "checksum/secret"),
        ("store.postgresql.url", "postgres://x:other@postgres:5432/x", "checksum/secret"),
    ],
)
def test_pods_roll_when_what_they_read_changes(path, value, annotation):
    before, after = (checksums(values) for values in [case("autoscaling"), with_value(case("autoscaling"), path, value)])
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {annotation}


def test_the_public_way_in_has_the_routes_for_x_only():
    ingress = find(render(case("everything-sqlite")), "Ingress", "acme-twitter-channel")["spec"]
    paths = [path["path"] for path in ingress["rules"][0]["http"]["paths"]]
    assert paths == ["/webhooks/twitter/", "/oauth/twitter/", "/link/"]
    assert ingress["rules"][0]["host"] == "x.acme.example"
    assert ingress["tls"] == [{"hosts": ["x.acme.example"], "secretName": "x-tls"}]
    route = find(render(case("everything-postgresql")), "HTTPRoute", "acme-x-channel")["spec"]
    assert [match["path"]["value"] for match in route["rules"][0]["matches"]] == paths


def test_the_console_has_a_host_of_its_own():
    ingress = find(render(case("everything-sqlite")), "Ingress", "acme-twitter-channel-private")["spec"]
    assert ingress["rules"][0]["host"] == "x-admin.acme.example"
    assert ingress["tls"] == [{"hosts": ["x-admin.acme.example"], "secretName": "x-admin-tls"}]
    route = find(render(case("everything-postgresql")), "HTTPRoute", "acme-x-channel-private")["spec"]
    assert route["hostnames"] == ["x-admin.acme.example"]
    assert route["rules"][0]["backendRefs"] == [{"name": "acme-x-channel-private", "port": 80}]


def test_routes_lead_to_ports_of_services(objects):
    services = {it["metadata"]["name"]: it["spec"]["ports"] for it in objects if it["kind"] == "Service"}
    for it in objects:
        if it["kind"] == "HTTPRoute":
            for rule in it["spec"]["rules"]:
                for to in rule["backendRefs"]:
                    assert to["port"] in [port["port"] for port in services[to["name"]]]
        if it["kind"] == "Ingress":
            for path in it["spec"]["rules"][0]["http"]["paths"]:
                to = path["backend"]["service"]
                assert to["port"]["name"] in [port["name"] for port in services[to["name"]]]


def test_prometheus_reads_the_private_service_only():
    objects = render(case("everything-postgresql"))
    wanted = find(objects, "ServiceMonitor")["spec"]["selector"]["matchLabels"].items()
    selected = [it["metadata"]["name"] for it in objects if it["kind"] == "Service" and wanted <= it["metadata"]["labels"].items()]
    assert selected == ["acme-x-channel-private"]


def test_each_alert_has_its_place_in_the_runbook():
    spec = find(render(case("everything-postgresql")), "PrometheusRule")["spec"]
    written = load((PATH / "files" / "alerts.yaml").read_text())[0]["groups"]
    assert [group["name"] for group in spec["groups"]] == [*(group["name"] for group in written), "own"]
    for group, source in zip(spec["groups"], written):
        for rule, original in zip(group["rules"], source["rules"], strict=True):
            if "alert" not in original:
                assert rule == original
                continue
            told = dict(original["annotations"])
            anchor = told.pop("runbook")
            assert anchor == f"#{original['alert'].lower()}"
            link = f"https://docs.acme.example/twitter-channel/runbook{anchor}"
            assert rule["annotations"] == told | {"runbook_url": link}
            assert rule["labels"] == original.get("labels", {}) | {"team": "desk"}
            assert (rule["expr"], rule.get("for")) == (original["expr"], original.get("for"))


def test_an_alert_can_be_left_out():
    written = load((PATH / "files" / "alerts.yaml").read_text())[0]["groups"]
    name = next(rule["alert"] for group in written for rule in group["rules"] if "alert" in rule)
    values = with_value(case("everything-postgresql"), "metrics.prometheusRule.disabled", [name])
    text = json.dumps(find(render(values), "PrometheusRule"))
    assert name not in text and "Own" in text


def test_the_dashboard_is_the_file():
    it = find(render(case("everything-postgresql")), "ConfigMap", "acme-x-channel-dashboard")
    assert it["metadata"]["labels"]["grafana_dashboard"] == "1"
    (dashboard,) = it["data"].values()
    assert json.loads(dashboard) == json.loads((PATH / "files" / "dashboard.json").read_text())
    assert json.loads(dashboard)["panels"]


def test_the_backup_runs_where_the_volume_is():
    objects = render(case("everything-sqlite"))
    spec = find(objects, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (term,) = spec["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    workload = find(objects, "StatefulSet")
    assert term["labelSelector"]["matchLabels"] == workload["spec"]["selector"]["matchLabels"]
    claims = {volume["name"]: volume["persistentVolumeClaim"]["claimName"] for volume in spec["volumes"] if "persistentVolumeClaim" in volume}
    assert claims == {"data": "data-acme-twitter-channel-0", "backup": "acme-twitter-channel-backup"}
    assert find(objects, "PersistentVolumeClaim")["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


@pytest.mark.parametrize(("keep", "expected"), [(14, ["--keep", "14"]), (0, [])])
def test_so_many_copies_are_kept(keep, expected):
    objects = render(with_value(case("claims"), "backup.keep", keep))
    spec = find(objects, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert spec["containers"][0]["args"] == ["store", "backup", "/backup/$(POD_NAME).db", *expected]


def test_further_arguments_are_those_of_serve():
    assert serving(case("claims"))["args"] == ["serve", "--restored"]
    config = ["--config", "/etc/twitter-channel/config.toml"]
    assert serving(case("everything-sqlite"))["args"] == ["serve", *config]


def test_claims_of_ones_own_are_used():
    objects = render(case("claims"))
    assert not [it for it in objects if it["kind"] == "PersistentVolumeClaim"]
    assert "volumeClaimTemplates" not in find(objects, "StatefulSet")["spec"]
    for _, pod in pods(objects):
        for volume in pod["spec"]["volumes"]:
            if volume["name"] in ("data", "backup"):
                assert volume["persistentVolumeClaim"]["claimName"] in ("channel", "copies")


def test_the_version_is_that_of_the_program():
    manifest = (ROOT / "Cargo.toml").read_text()
    version = re.search(r'^version = "(.+)"', manifest, re.MULTILINE)[1]
    assert (chart().version, chart().metadata["appVersion"]) == (version, version)


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ({}, f"twitter-channel:{chart().metadata['appVersion']}"),
        ({"registry": "r:5000", "tag": "2"}, "r:5000/twitter-channel:2"),
        ({"tag": "2", "digest": "sha256:" + "a" * 64}, "twitter-channel@sha256:" + "a" * 64),
    ],
)
def test_images_by_tag_or_digest(image, name):
    assert serving(case("sqlite") | {"image": image})["image"] == name


def test_the_topology_is_that_of_the_contract():
    objects = render(case("topology-operator"))
    specs = {}
    for it in objects:
        if it["apiVersion"] == "rabbitmq.com/v1beta1":
            assert it["spec"]["rabbitmqClusterReference"] == {"name": "rabbit", "namespace": "rabbitmq"}
            specs.setdefault(it["kind"], []).append(it["spec"])
    assert {spec["name"]: spec["type"] for spec in specs["Exchange"]} == {
        "twitter.events": "topic",
        "twitter.commands": "direct",
        "twitter.dead": "fanout",
        "twitter.tickets.dead": "fanout",
        "twitter.audit.dead": "fanout",
    }
    quorum = {"x-queue-type": "quorum"}
    dead = quorum | {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}
    assert {spec["name"]: spec["arguments"] for spec in specs["Queue"]} == {
        "twitter.tickets": dead | {"x-dead-letter-exchange": "twitter.tickets.dead"},
        "twitter.tickets.dead": quorum,
        "twitter.audit": dead | {"x-dead-letter-exchange": "twitter.audit.dead"},
        "twitter.audit.dead": quorum,
        "twitter.commands": dead | {"x-dead-letter-exchange": "twitter.dead", "x-single-active-consumer": True},
        "twitter.dead": quorum,
    }
    assert {(spec["source"], spec["routingKey"], spec["destination"]) for spec in specs["Binding"]} == {
        ("twitter.events", "#", "twitter.tickets"),
        ("twitter.events", "message.sent.#", "twitter.audit"),
        ("twitter.events", "command.#", "twitter.audit"),
        ("twitter.tickets.dead", "", "twitter.tickets.dead"),
        ("twitter.audit.dead", "", "twitter.audit.dead"),
        ("twitter.commands", "twitter.commands", "twitter.commands"),
        ("twitter.dead", "", "twitter.dead"),
    }
    (permission,) = specs["Permission"]
    assert permission["permissions"] == {
        "configure": "^$",
        "write": r"^(twitter\.events|twitter\.dead)$",
        "read": r"^twitter\.commands$",
    }
    entities = specs["Exchange"] + specs["Queue"]
    assert all(it["durable"] and not it["autoDelete"] for it in entities)
    assert {it["vhost"] for it in entities + specs["Binding"] + specs["Policy"]} == {"helpdesk"}


def containers(spec: dict) -> list[dict]:
    """Those of the chart and those that values add."""
    return spec.get("initContainers", []) + spec["containers"]


def own_containers(spec: dict) -> list[dict]:
    """Those of the chart."""
    return [it for it in containers(spec) if is_own(it)]


def serving(values: dict) -> dict:
    """The container of the service."""
    kind = "Deployment" if value_at(values, "store.kind") == "postgresql" else "StatefulSet"
    return find(render(values), kind)["spec"]["template"]["spec"]["containers"][0]


def checksums(values: dict) -> dict:
    annotations = find(render(values), "Deployment")["spec"]["template"]["metadata"]["annotations"]
    return {key: value for key, value in annotations.items() if key.startswith("checksum/")}
