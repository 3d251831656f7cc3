{{- define "tidemill.labels" -}}
app.kubernetes.io/name: tidemill
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* Labels that select the pods of a component: a dict of root and component. */}}
{{- define "tidemill.selector" -}}
app.kubernetes.io/name: tidemill
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "tidemill.image" -}}
{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{/* The image's own user in both of Tidemill's images and in NVIDIA's. */}}
{{- define "tidemill.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "tidemill.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* What the HTTP API is called inside the cluster, and its other names, as JSON. */}}
{{- define "tidemill.httpHosts" -}}
{{- $names := list }}
{{- range $service := list .Release.Name (printf "%s-front" .Release.Name) }}
{{- $long := printf "%s.%s" $service $.Release.Namespace }}
{{- $names = concat $names (list $service $long (printf "%s.svc" $long) (printf "%s.svc.cluster.local" $long)) }}
{{- end }}
{{- concat $names .Values.httpAllowedHosts | toJson }}
{{- end }}

{{/* Asks a front's health service. Kubernetes' own probe cannot speak TLS. */}}
{{- define "tidemill.frontReadiness" -}}
{{- if .Values.tlsSecretName }}
exec: { command: [python, /opt/tidemill/server_healthy.py] }
periodSeconds: 15 # it takes a second of CPU
{{- else }}
grpc: { port: 50051 }
periodSeconds: 5
{{- end }}
timeoutSeconds: 10
{{- end }}

{{/* With TLS only whether the port is open: no certificate may restart a front. */}}
{{- define "tidemill.frontLiveness" -}}
{{- if .Values.tlsSecretName }}
tcpSocket: { port: grpc }
{{- else }}
grpc: { port: 50051 }
{{- end }}
periodSeconds: 5
timeoutSeconds: 10
failureThreshold: 6
{{- end }}

{{/* Settings of fronts and jobs. */}}
{{- define "tidemill.environment" -}}
- { name: TIDEMILL_SECRETS_DIR, value: /secrets }
- { name: TIDEMILL_STATE_DIR, value: /state }
- { name: TIDEMILL_MODEL_REPOSITORY, value: /models }
- { name: TIDEMILL_TRITON__URL, value: {{ printf "dns:///%s-triton:8001" .Release.Name | quote }} }
- { name: TIDEMILL_TRITON__METRICS_URL, value: {{ printf "http://%s-triton:8002/metrics" .Release.Name | quote }} }
{{- include "tidemill.awsEnvironment" . }}
{{- end }}

{{/* The files with which a container reaches a bucket: variables, mount and volume. */}}
{{- define "tidemill.awsEnvironment" -}}
{{- if .Values.awsSecretName }}
- { name: AWS_SHARED_CREDENTIALS_FILE, value: /aws/credentials }
- { name: AWS_CONFIG_FILE, value: /aws/config }
{{- end }}
{{- end }}

{{- define "tidemill.awsMount" -}}
{{- if .Values.awsSecretName }}
- { name: aws, mountPath: /aws, readOnly: true }
{{- end }}
{{- end }}

{{- define "tidemill.awsVolume" -}}
{{- with .Values.awsSecretName }}
- name: aws
  secret: { secretName: {{ . }}, defaultMode: 0440 }
{{- end }}
{{- end }}

{{- define "tidemill.placement" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
