{{/* Names, labels and what several templates share. */}}

{{- define "twitter-channel.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* 45 characters leave room for the longest suffix of an object's name. */}}
{{- define "twitter-channel.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- default $full .Values.fullnameOverride | trunc 45 | trimSuffix "-" }}
{{- end }}

{{- define "twitter-channel.serviceAccountName" -}}
{{- $made := ternary (include "twitter-channel.fullname" .) "default" .Values.serviceAccount.create }}
{{- default $made .Values.serviceAccount.name }}
{{- end }}

{{- define "twitter-channel.image" -}}
{{- $i := .Values.image }}
{{- $name := ternary (printf "%s/%s" $i.registry $i.repository) $i.repository (ne $i.registry "") }}
{{- $tag := printf ":%s" (default .Chart.AppVersion $i.tag) }}
{{- $name }}{{ ternary (printf "@%s" $i.digest) $tag (ne $i.digest "") }}
{{- end }}

{{- define "twitter-channel.kubeVersion" -}}
{{- default .Capabilities.KubeVersion.Version .Values.kubeVersion }}
{{- end }}

{{/* Labels that never change; all pods of the release have them, whatever they do. */}}
{{- define "twitter-channel.releaseLabels" -}}
app.kubernetes.io/name: {{ include "twitter-channel.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* What selects the pods that serve. */}}
{{- define "twitter-channel.selectorLabels" -}}
{{ include "twitter-channel.releaseLabels" . }}
app.kubernetes.io/component: server
{{- end }}

{{- define "twitter-channel.labels" -}}
{{- $own := dict
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_")
  "app.kubernetes.io/version" .Chart.AppVersion
  "app.kubernetes.io/part-of" "helpdesk"
  "app.kubernetes.io/managed-by" .Release.Service }}
{{- $release := include "twitter-channel.releaseLabels" . | fromYaml }}
{{- toYaml (merge $release $own .Values.commonLabels) }}
{{- end }}

{{/* metadata of an object: a list of the context, the name and, as options, component, namespace, labels, annotations. */}}
{{- define "twitter-channel.metadata" -}}
{{- $root := index . 0 }}
{{- $name := index . 1 }}
{{- $more := dict }}
{{- if gt (len .) 2 }}{{ $more = index . 2 }}{{ end }}
{{- $component := dict "app.kubernetes.io/component" (default "server" $more.component) }}
{{- $labels := merge $component (include "twitter-channel.labels" $root | fromYaml) (default dict $more.labels) }}
{{- $annotations := merge dict (default dict $more.annotations) $root.Values.commonAnnotations }}
metadata:
  name: {{ $name }}
  namespace: {{ default $root.Release.Namespace $more.namespace }}
  labels:
    {{- toYaml $labels | nindent 4 }}
  {{- with $annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "twitter-channel.isPostgresql" -}}
{{- if eq .Values.store.kind "postgresql" }}yes{{ end }}
{{- end }}

{{/* Host of a URL, without a port. */}}
{{- define "twitter-channel.host" -}}
{{- regexReplaceAll "^[a-z]+://([^/:]+).*$" . "${1}" }}
{{- end }}

{{- define "twitter-channel.privateUrl" -}}
{{- $service := printf "http://%s-private.%s.svc:%d" (include "twitter-channel.fullname" .) .Release.Namespace (int .Values.private.service.port) }}
{{- default $service .Values.private.url }}
{{- end }}

{{- define "twitter-channel.configMapName" -}}
{{- if .Values.existingConfigMap }}{{ .Values.existingConfigMap }}
{{- else if .Values.config }}{{ include "twitter-channel.fullname" . }}
{{- end }}
{{- end }}

{{/* The Secret with user and password of the broker; empty where they stand in a URL. */}}
{{- define "twitter-channel.brokerCredentials" -}}
{{- $operator := .Values.broker.topologyOperator }}
{{- if .Values.broker.credentials.existingSecret }}{{ .Values.broker.credentials.existingSecret }}
{{- else if and .Values.broker.hosts (ne .Values.broker.auth "external") $operator.enabled $operator.user.enabled }}
{{- default (printf "%s-user-credentials" (include "twitter-channel.fullname" .)) $operator.user.importCredentialsSecret }}
{{- end }}
{{- end }}

{{/*
What the container finds below /etc/twitter-channel/credentials: a list of {file, secret, key}, as YAML. Values given
directly lie in the Secret of the release under the name of the file.
*/}}
{{- define "twitter-channel.credentials" -}}
{{- $own := include "twitter-channel.fullname" . }}
{{- $b := .Values.broker }}
{{- $pg := .Values.store.postgresql }}
{{- $list := list
  (dict "file" "secret-key" "value" .Values.secretKey.value "secret" .Values.secretKey.existingSecret "key" .Values.secretKey.existingSecretKey)
  (dict "file" "private-token" "value" .Values.private.token.value "secret" .Values.private.token.existingSecret "key" .Values.private.token.existingSecretKey)
  (dict "file" "broker-url" "value" $b.url "secret" $b.existingSecret "key" $b.existingSecretKey)
}}
{{- with include "twitter-channel.brokerCredentials" . }}
{{- $list = concat $list (list
  (dict "file" "broker-username" "value" "" "secret" . "key" $b.credentials.usernameKey)
  (dict "file" "broker-password" "value" "" "secret" . "key" $b.credentials.passwordKey)) }}
{{- end }}
{{- $list = concat $list (list
  (dict "file" "broker-ca.crt" "value" "" "secret" $b.ca.existingSecret "key" $b.ca.existingSecretKey)
  (dict "file" "broker-client.crt" "value" "" "secret" $b.clientCertificate.existingSecret "key" $b.clientCertificate.certificateKey)
  (dict "file" "broker-client.key" "value" "" "secret" $b.clientCertificate.existingSecret "key" $b.clientCertificate.privateKeyKey)) }}
{{- if include "twitter-channel.isPostgresql" . }}
{{- $list = append $list (dict "file" "store-url" "value" $pg.url "secret" $pg.existingSecret "key" $pg.existingSecretKey) }}
{{- $list = append $list (dict "file" "store-ca.crt" "value" "" "secret" $pg.ca.existingSecret "key" $pg.ca.existingSecretKey) }}
{{- end }}
{{- range $list }}
{{- if .value }}
- {file: {{ .file }}, secret: {{ $own }}, key: {{ .file }}}
{{- else if .secret }}
- {file: {{ .file }}, secret: {{ .secret }}, key: {{ .key }}}
{{- end }}
{{- end }}
{{- end }}

{{/* What goes into the Secret of the release: a map of file to value, as YAML. */}}
{{- define "twitter-channel.secretData" -}}
{{- $data := dict
  "secret-key" .Values.secretKey.value
  "private-token" .Values.private.token.value
  "broker-url" .Values.broker.url }}
{{- if include "twitter-channel.isPostgresql" . }}
{{- $_ := set $data "store-url" .Values.store.postgresql.url }}
{{- end }}
{{- range $file, $value := $data }}
{{- if $value }}
{{ $file }}: {{ $value | b64enc }}
{{- end }}
{{- end }}
{{- end }}
