{{/*
Names and labels: each decided here once. The name is no value: the NetworkPolicy of every job lets
the operator in by `app.kubernetes.io/name: rlhf-operator`.
*/}}

{{- define "rlhf-operator.name" -}}
rlhf-operator
{{- end -}}

{{- define "rlhf-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "rlhf-operator.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "rlhf-operator.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "rlhf-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "rlhf-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "rlhf-operator.labels" -}}
{{ include "rlhf-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: rlhf-operator
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "rlhf-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "rlhf-operator.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "rlhf-operator.image" -}}
{{- $registry := default .Values.image.registry .Values.global.imageRegistry -}}
{{- $name := .Values.image.repository -}}
{{- if $registry -}}{{- $name = printf "%s/%s" $registry $name -}}{{- end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $name .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Fails early where the named default is not one of the enabled runtimes. */}}
{{- define "rlhf-operator.defaultRuntime" -}}
{{- $name := .Values.runtimes.default -}}
{{- if $name -}}
{{- $item := index .Values.runtimes.items $name -}}
{{- if not $item -}}
{{- fail (printf "runtimes.default is %q, and runtimes.items has no such runtime; add it there, or set runtimes.default to one of: %s" $name (keys .Values.runtimes.items | sortAlpha | join ", ")) -}}
{{- end -}}
{{- if not $item.enabled -}}
{{- fail (printf "runtimes.default is %q, and runtimes.items.%s.enabled is false; enable it, or name another default" $name $name) -}}
{{- end -}}
{{- end -}}
{{- $name -}}
{{- end -}}
