{{/* The pod of the service, alike in StatefulSet and Deployment. */}}

{{/* Settings that the chart knows; the environment overrides the file. */}}
{{- define "twitter-channel.env" -}}
{{- $b := .Values.broker }}
{{- $files := dict
  "secret-key" "SECRETS__KEY_FILE"
  "private-token" "PRIVATE__TOKEN_FILE"
  "broker-url" "BROKER__URL_FILE"
  "broker-username" "BROKER__USERNAME_FILE"
  "broker-password" "BROKER__PASSWORD_FILE"
  "broker-ca.crt" "BROKER__TLS__CA_FILE"
  "broker-client.crt" "BROKER__TLS__CERT_FILE"
  "broker-client.key" "BROKER__TLS__KEY_FILE"
  "store-url" "STORE__URL_FILE" }}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
# Which replica a trace is of.
- name: TWITTER_CHANNEL__TELEMETRY__INSTANCE
  value: $(POD_NAME)
- name: TWITTER_CHANNEL__PUBLIC__LISTEN
  value: 0.0.0.0:8080
- name: TWITTER_CHANNEL__PUBLIC__URL
  value: {{ .Values.public.url }}
- name: TWITTER_CHANNEL__PRIVATE__LISTEN
  value: 0.0.0.0:8081
- name: TWITTER_CHANNEL__PRIVATE__URL
  value: {{ include "twitter-channel.privateUrl" . }}
{{- range include "twitter-channel.credentials" . | fromYamlArray }}
{{- /* The database's authority has no setting: its URL names it. */}}
{{- if hasKey $files .file }}
- name: TWITTER_CHANNEL__{{ get $files .file }}
  value: /etc/twitter-channel/credentials/{{ .file }}
{{- end }}
{{- end }}
{{- if $b.hosts }}
- name: TWITTER_CHANNEL__BROKER__URL
  value: {{ printf "%s://%s" (ternary "amqps" "amqp" $b.tls) (first $b.hosts) }}
- name: TWITTER_CHANNEL__BROKER__HOSTS
  value: {{ rest $b.hosts | toJson | quote }}
- name: TWITTER_CHANNEL__BROKER__VHOST
  value: {{ $b.vhost | quote }}
{{- end }}
{{- if eq $b.auth "external" }}
- name: TWITTER_CHANNEL__BROKER__AUTH
  value: external
{{- end }}
- name: TWITTER_CHANNEL__BROKER__TOPOLOGY
  value: {{ $b.topology }}
- name: TWITTER_CHANNEL__BROKER__NAMES__EVENTS
  value: {{ $b.names.events | quote }}
- name: TWITTER_CHANNEL__BROKER__NAMES__COMMANDS
  value: {{ $b.names.commands | quote }}
- name: TWITTER_CHANNEL__BROKER__NAMES__DEAD
  value: {{ $b.names.dead | quote }}
- name: TWITTER_CHANNEL__BROKER__INBOXES
  value: {{ include "twitter-channel.inboxes" . | quote }}
{{- if include "twitter-channel.isPostgresql" . }}
- name: POD_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
# Replicas that do not lead forward what is asked of the API to the one that does.
- name: TWITTER_CHANNEL__PRIVATE__ADVERTISE
  value: http://$(POD_IP):8081
- name: TWITTER_CHANNEL__ATTACHMENTS__FOLDER
  value: /var/lib/twitter-channel/files
{{- else }}
- name: TWITTER_CHANNEL__STORE__URL
  value: sqlite:///var/lib/twitter-channel/channel.db
{{- end }}
{{- end }}

{{/* That and what values add, for each container that reads the settings. */}}
{{- define "twitter-channel.environment" -}}
env:
  {{- include "twitter-channel.env" . | trim | nindent 2 }}
  {{- with .Values.extraEnvVars }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- if or .Values.extraEnvVarsCM .Values.extraEnvVarsSecret }}
envFrom:
  {{- with .Values.extraEnvVarsCM }}
  - configMapRef:
      name: {{ . }}
  {{- end }}
  {{- with .Values.extraEnvVarsSecret }}
  - secretRef:
      name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Inboxes as a list in TOML; JSON strings are TOML strings. */}}
{{- define "twitter-channel.inboxes" -}}
{{- $tables := list }}
{{- range .Values.broker.inboxes }}
{{- $tables = append $tables (printf "{ queue = %s, bind = %s }" (toJson .queue) (toJson .bind)) }}
{{- end }}
{{- printf "[%s]" (join ", " $tables) }}
{{- end }}

{{/* Settings file and credentials in one volume, and what values add: a folder within a read-only volume could not be mounted upon. */}}
{{- define "twitter-channel.configVolume" -}}
- name: config
  projected:
    # Readable by the group of fsGroup, by nobody else.
    defaultMode: 0440
    sources:
      {{- with include "twitter-channel.configMapName" . }}
      - configMap:
          name: {{ . }}
          items:
            - key: {{ ternary $.Values.existingConfigMapKey "config.toml" (ne $.Values.existingConfigMap "") }}
              path: config.toml
      {{- end }}
      {{- range include "twitter-channel.credentials" . | fromYamlArray }}
      - secret:
          name: {{ .secret }}
          items:
            - key: {{ .key }}
              path: credentials/{{ .file }}
      {{- end }}
{{- range .Values.secretFiles }}
- name: secret-{{ .name }}
  secret:
    secretName: {{ .existingSecret }}
    defaultMode: 0440
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "twitter-channel.configMounts" -}}
- name: config
  mountPath: /etc/twitter-channel
  readOnly: true
{{- range .Values.secretFiles }}
- name: secret-{{ .name }}
  mountPath: /run/secrets/{{ .name }}
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Arguments of a command of the program: a list of the context and the words. */}}
{{- define "twitter-channel.args" -}}
{{- $words := rest . }}
{{- if include "twitter-channel.configMapName" (first .) }}
{{- $words = concat $words (list "--config" "/etc/twitter-channel/config.toml") }}
{{- end }}
{{- toYaml $words }}
{{- end }}

{{/* What container and pod of each kind share. */}}
{{- define "twitter-channel.containerBase" -}}
image: {{ include "twitter-channel.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.containerSecurityContext | nindent 2 }}
command: ["/usr/local/bin/twitter-channel"]
{{- end }}

{{- define "twitter-channel.podBase" -}}
serviceAccountName: {{ include "twitter-channel.serviceAccountName" . }}
automountServiceAccountToken: false
# Variables about other Services are of no use here.
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.schedulerName }}
schedulerName: {{ . }}
{{- end }}
{{- with .Values.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "twitter-channel.podTemplate" -}}
metadata:
  labels:
    {{- $own := include "twitter-channel.selectorLabels" . | fromYaml }}
    {{- toYaml (merge $own (include "twitter-channel.labels" . | fromYaml) .Values.podLabels) | nindent 4 }}
  annotations:
    # Pods are made anew when what they read at their start is another.
    checksum/config: {{ .Values.config | sha256sum }}
    checksum/secret: {{ include "twitter-channel.secretData" . | sha256sum }}
    {{- with merge dict .Values.podAnnotations .Values.commonAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- include "twitter-channel.podBase" . | nindent 2 }}
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml .Values.topologySpreadConstraints | nindent 4 }}
  {{- else if include "twitter-channel.isPostgresql" . }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "twitter-channel.selectorLabels" . | nindent 10 }}
  {{- end }}
  {{- with .Values.initContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: twitter-channel
      {{- include "twitter-channel.containerBase" . | nindent 6 }}
      args:
        {{- include "twitter-channel.args" (concat (list . "serve") .Values.extraArgs) | nindent 8 }}
      {{- include "twitter-channel.environment" . | nindent 6 }}
      ports:
        - name: public
          containerPort: 8080
        - name: private
          containerPort: 8081
      startupProbe:
        {{- toYaml (default .Values.startupProbe .Values.customStartupProbe) | nindent 8 }}
      livenessProbe:
        {{- toYaml (default .Values.livenessProbe .Values.customLivenessProbe) | nindent 8 }}
      readinessProbe:
        {{- toYaml (default .Values.readinessProbe .Values.customReadinessProbe) | nindent 8 }}
      {{- if .Values.lifecycleHooks }}
      lifecycle:
        {{- toYaml .Values.lifecycleHooks | nindent 8 }}
      {{- else if and .Values.preStopSleepSeconds (semverCompare ">=1.30-0" (include "twitter-channel.kubeVersion" .)) }}
      lifecycle:
        preStop:
          sleep:
            seconds: {{ .Values.preStopSleepSeconds }}
      {{- end }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        {{- include "twitter-channel.configMounts" . | nindent 8 }}
        - name: data
          mountPath: /var/lib/twitter-channel
        - name: tmp
          mountPath: /tmp
    {{- with .Values.sidecars }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "twitter-channel.configVolume" . | nindent 4 }}
    - name: tmp
      emptyDir:
        sizeLimit: {{ .Values.store.ephemeralSize }}
    {{- $postgresql := include "twitter-channel.isPostgresql" . }}
    {{- with ternary .Values.store.postgresql.filesClaim .Values.store.sqlite.existingClaim (ne $postgresql "") }}
    - name: data
      persistentVolumeClaim:
        claimName: {{ . }}
    {{- else }}
    {{- if $postgresql }}
    - name: data
      emptyDir:
        sizeLimit: {{ .Values.store.ephemeralSize }}
    {{- end }}
    {{- end }}
{{- end }}
