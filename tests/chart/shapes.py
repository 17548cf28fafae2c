"""What each object is checked against.

Kubernetes' own kinds: the schemas of its API (kubernetes-validate, strict: an unknown field fails). The Prometheus
operator's: models made from its custom resource definitions (cloudcoil), where an unknown field shows itself by not
coming back. No package has the definitions of the Gateway API's HTTPRoute for Python, nor those of RabbitMQ's Messaging
Topology Operator: of these the fields that the chart uses are written down here, from the operators' references.
"""

import cloudcoil.models.prometheus_operator.v1 as prometheus
import jsonschema
import kubernetes_validate

TEXT = {"type": "string", "minLength": 1}
TRUTH = {"type": "boolean"}


def closed(required: list[str], **properties: dict) -> dict:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


def topology(required: list[str], **properties: dict) -> dict:
    """A spec of rabbitmq.com/v1beta1: each needs its cluster, by name or by a Secret."""
    by_name = closed(["name"], name=TEXT, namespace=TEXT)
    by_secret = closed(["connectionSecret"], connectionSecret=closed(["name"], name=TEXT))
    cluster = {"oneOf": [by_name, by_secret]}
    return closed([*required, "rabbitmqClusterReference"], rabbitmqClusterReference=cluster, **properties)


ANY = {"type": "object"}
REFERENCE = closed(["name"], name=TEXT)
OWN = {
    ("rabbitmq.com/v1beta1", "Vhost"): topology(["name"], name=TEXT, tracing=TRUTH),
    ("rabbitmq.com/v1beta1", "Exchange"): topology(
        ["name"], name=TEXT, vhost=TEXT, type=TEXT, durable=TRUTH, autoDelete=TRUTH, arguments=ANY
    ),
    ("rabbitmq.com/v1beta1", "Queue"): topology(
        ["name"], name=TEXT, vhost=TEXT, type=TEXT, durable=TRUTH, autoDelete=TRUTH, arguments=ANY
    ),
    ("rabbitmq.com/v1beta1", "Binding"): topology(
        ["source", "destination", "destinationType"],
        vhost=TEXT,
        source=TEXT,
        destination=TEXT,
        destinationType={"enum": ["exchange", "queue"]},
        routingKey={"type": "string"},
        arguments=ANY,
    ),
    ("rabbitmq.com/v1beta1", "Policy"): topology(
        ["name", "pattern", "definition"],
        name=TEXT,
        vhost=TEXT,
        pattern=TEXT,
        applyTo={"enum": ["queues", "classic_queues", "quorum_queues", "exchanges", "all"]},
        priority={"type": "integer"},
        definition=ANY,
    ),
    ("rabbitmq.com/v1beta1", "User"): topology([], importCredentialsSecret=REFERENCE),
    ("rabbitmq.com/v1beta1", "Permission"): topology(
        ["vhost", "permissions", "userReference"],
        vhost=TEXT,
        userReference=REFERENCE,
        permissions=closed(["configure", "write", "read"], configure=TEXT, write=TEXT, read=TEXT),
    ),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): closed(
        ["parentRefs", "hostnames", "rules"],
        parentRefs={"type": "array", "minItems": 1, "items": closed(["name"], name=TEXT, namespace=TEXT, sectionName=TEXT)},
        hostnames={"type": "array", "minItems": 1, "items": {"type": "string", "pattern": "^[a-z0-9.-]+$"}},
        rules={
            "type": "array",
            "items": closed(
                ["matches", "backendRefs"],
                matches={
                    "type": "array",
                    "items": closed(
                        ["path"],
                        path=closed(["type", "value"], type={"const": "PathPrefix"}, value={"type": "string", "pattern": "^/"}),
                    ),
                },
                backendRefs={"type": "array", "items": closed(["name", "port"], name=TEXT, port={"type": "integer"})},
            ),
        },
    ),
}
PROMETHEUS = {"ServiceMonitor": prometheus.ServiceMonitor, "PrometheusRule": prometheus.PrometheusRule}


def validate(it: dict, kubernetes: str) -> None:
    """Raises where the object is not what that version of Kubernetes, or its operator, takes."""
    kind = (it["apiVersion"], it["kind"])
    if kind in OWN:
        shape = closed(["apiVersion", "kind", "metadata", "spec"], apiVersion=TEXT, kind=TEXT, metadata=ANY, spec=OWN[kind])
        jsonschema.validate(it, shape)
    elif it["apiVersion"] == "monitoring.coreos.com/v1":
        back = PROMETHEUS[it["kind"]].model_validate(it).model_dump(exclude_none=True, by_alias=True, mode="json")
        assert back["spec"] == it["spec"], "a field that the operator does not know, or another type"
    else:
        kubernetes_validate.validate(it, kubernetes, strict=True)
