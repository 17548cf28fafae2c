"""Combinations that cannot work are refused when the chart is rendered, with the value's name and what is expected."""

import helm_python
import pytest

from chart import PATH, case, chart, render, with_value

SQLITE = "sqlite"
POSTGRESQL = "autoscaling"

# A case that is good, what is changed in it, and how the refusal begins.
REFUSED = [
    (SQLITE, {"replicaCount": 2}, "replicaCount: SQLite has one replica"),
    (SQLITE, {"autoscaling.enabled": True}, "autoscaling.enabled: SQLite has one replica"),
    (SQLITE, {"store.postgresql.url": "postgres://x@y/z"}, "store.postgresql: given, but store.kind is sqlite"),
    (POSTGRESQL, {"store.sqlite.existingClaim": "mine"}, "store.sqlite.existingClaim: given, but store.kind is postgresql"),
    (POSTGRESQL, {"autoscaling.minReplicas": 9}, "autoscaling.minReplicas: more than autoscaling.maxReplicas"),
    (SQLITE, {"secretKey.existingSecret": ""}, "secretKey: missing, give one of value, existingSecret"),
    (SQLITE, {"secretKey.value": "abc"}, "secretKey: several sources of one secret, give one of value, existingSecret"),
    (SQLITE, {"private.token.existingSecret": ""}, "private.token: missing"),
    (SQLITE, {"private.token.value": "abc"}, "private.token: several sources of one secret"),
    (SQLITE, {"broker.existingSecret": ""}, "broker: missing, give one of url, existingSecret, hosts"),
    (SQLITE, {"broker.url": "amqps://a:b@c/d"}, "broker: several sources of one secret, give one of url, existingSecret"),
    (SQLITE, {"broker.hosts": ["rabbit"]}, "broker: several sources of one secret, give one of existingSecret, hosts"),
    (POSTGRESQL, {"store.postgresql.url": ""}, "store.postgresql: missing, give one of url, existingSecret"),
    (POSTGRESQL, {"store.postgresql.existingSecret": "x"}, "store.postgresql: several sources of one secret"),
    (
        SQLITE,
        {"secretFiles": [{"name": "a", "existingSecret": "b"}, {"name": "a", "existingSecret": "c"}]},
        "secretFiles: the name a twice",
    ),
    (SQLITE, {"config": "[log]\n", "existingConfigMap": "mine"}, "config: two settings files"),
    (SQLITE, {"config": '[[apps]]\nconsumer_secret = "x"\n'}, "config: consumer_secret is a secret"),
    (SQLITE, {"config": "[[accounts]]\n  access_token_secret='x'\n"}, "config: access_token_secret is a secret"),
    (SQLITE, {"config": 'apps = [{ name = "a", client_secret = "x" }]\n'}, "config: client_secret is a secret"),
    (
        SQLITE,
        {"extraEnvVars": [{"name": "TWITTER_CHANNEL__PRIVATE__TOKEN", "value": "x"}]},
        "extraEnvVars: TWITTER_CHANNEL__PRIVATE__TOKEN is set by a value of this chart already",
    ),
    (
        SQLITE,
        {"extraEnvVars": [{"name": "TWITTER_CHANNEL__STORE__URL_FILE", "value": "x"}]},
        "extraEnvVars: TWITTER_CHANNEL__STORE__URL_FILE is set",
    ),
    ("cluster-operator", {"broker.credentials.existingSecret": ""}, "broker.credentials.existingSecret: missing"),
    (SQLITE, {"broker.credentials.existingSecret": "x"}, "broker.credentials.existingSecret: given without broker.hosts"),
    ("cluster-operator", {"broker.tls": False}, "broker.tls: off, but there are certificates for it"),
    ("cluster-operator", {"broker.auth": "external"}, "broker.credentials.existingSecret: given, but broker.auth is external"),
    ("client-certificate", {"broker.clientCertificate.existingSecret": ""}, "broker.clientCertificate.existingSecret: missing"),
    ("topology-operator", {"broker.topology": "declare"}, "broker.topology: expected check"),
    (
        "topology-operator",
        {"broker.topologyOperator.clusterReference": {}},
        "broker.topologyOperator.clusterReference: missing",
    ),
    (
        "topology-operator",
        {"broker.topologyOperator.clusterReference": {"name": "a", "connectionSecret": {"name": "b"}}},
        "broker.topologyOperator.clusterReference: expected a name or a connectionSecret, not both",
    ),
    ("topology-operator", {"broker.hosts": [], "broker.url": "amqp://a:b@c/d"}, "broker.hosts: missing"),
    (
        "topology-operator",
        {"broker.credentials.existingSecret": "x"},
        "broker.topologyOperator.user.enabled: two sources of one secret",
    ),
    (SQLITE, {"public.url": ""}, "public.url: missing, expected how X reaches the service"),
    (SQLITE, {"public.url": "http://x.acme.example"}, "public.url: http://x.acme.example, expected https://"),
    (SQLITE, {"public.url": "https://x.acme.example:8443"}, "public.url: https://x.acme.example:8443, expected https://"),
    (SQLITE, {"public.url": "https://acme.example/x"}, "public.url: https://acme.example/x, expected https://"),
    (SQLITE, {"public.httpRoute.enabled": True}, "public.httpRoute.parentRefs: missing"),
    ("everything-sqlite", {"private.ingress.tlsSecret": ""}, "private.ingress.tlsSecret: missing"),
    ("everything-sqlite", {"private.token.existingSecret": ""}, "private.token: missing"),
    ("everything-sqlite", {"private.url": "http://x-admin.acme.example"}, "private.url: expected https://"),
    ("everything-sqlite", {"private.url": ""}, "private.url: expected https://"),
    ("everything-sqlite", {"private.url": "https://x.acme.example"}, "private.url: expected another host"),
    ("everything-postgresql", {"private.httpRoute.parentRefs": []}, "private.httpRoute.parentRefs: missing"),
    (
        "everything-postgresql",
        {"private.httpRoute.parentRefs": [{"name": "inside"}]},
        "private.httpRoute.parentRefs: expected a sectionName",
    ),
    (POSTGRESQL, {"pdb.minAvailable": 1}, "pdb: expected minAvailable or maxUnavailable, not both"),
    ("everything-postgresql", {"pdb.minAvailable": 3}, "pdb.minAvailable: expected less than the replicas"),
    (POSTGRESQL, {"pdb.minAvailable": 3, "pdb.maxUnavailable": ""}, "pdb.minAvailable: expected less than the replicas"),
    (SQLITE, {"terminationGracePeriodSeconds": 34}, "terminationGracePeriodSeconds: expected at least 30 more"),
    ("everything-sqlite", {"metrics.prometheusRule.runbookBaseUrl": ""}, "metrics.prometheusRule.runbookBaseUrl: missing"),
    (POSTGRESQL, {"backup.enabled": True}, "backup.enabled: for SQLite only"),
    ("claims", {"store.sqlite.accessMode": "ReadWriteOncePod"}, "store.sqlite.accessMode: expected ReadWriteOnce"),
]


@pytest.mark.parametrize(("name", "changes", "refusal"), REFUSED, ids=[f"{it[0]}-{it[2]}"[:70] for it in REFUSED])
def test_guards(name, changes, refusal):
    values = case(name)
    for path, value in changes.items():
        values = with_value(values, path, value)
    with pytest.raises(helm_python.HelmRenderError) as refused:
        render(values)
    assert any(line.startswith(refusal) for line in str(refused.value).splitlines()), refused.value


def test_each_guard_has_its_test():
    text = (PATH / "templates" / "guards.yaml").read_text()
    guards = text.count("append $faults")
    assert len({refusal for _, _, refusal in REFUSED}) >= guards > 30


def test_all_faults_are_told_at_once():
    with pytest.raises(helm_python.HelmRenderError) as refused:
        render({"replicaCount": 2})
    for fault in ["replicaCount:", "secretKey:", "private.token:", "broker:", "public.url:"]:
        assert f"\n{fault}" in str(refused.value)


def test_files_of_secrets_are_no_secrets():
    config = '[[apps]]\nconsumer_secret_file = "/run/secrets/x"\nclient_secret = ""\n  # token = "x"\n'
    assert render(case(SQLITE) | {"config": config})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("replicas", 2),
        ("store.sqlite.sizes", "1Gi"),
        ("broker.topologyOperator.vhosts", True),
        ("secretFiles", [{"name": "a", "existingSecret": "b", "mountPath": "/x"}]),
        ("secretFiles", [{"name": "../a", "existingSecret": "b"}]),
        ("store.kind", "mysql"),
        ("replicaCount", "2"),
        ("autoscaling.minReplicas", 0),
        ("image.digest", "latest"),
        ("broker.url", "https://rabbit"),
        ("broker.hosts", ["amqp://rabbit"]),
        ("store.sqlite.size", "big"),
        ("store.sqlite.accessMode", "ReadWriteMany"),
        ("metrics.serviceMonitor.interval", 30),
    ],
)
def test_unknown_and_malformed_values_are_refused(path, value):
    values = with_value(case(SQLITE), path, value)
    with pytest.raises(helm_python.HelmValuesError) as refused:
        chart().validate_schema(values)
    assert path.split(".")[0] in str(refused.value)
    with pytest.raises(helm_python.HelmError):
        render(values)
