{{/* Labels by which the operator's own pods are found. */}}
{{- define "banyan.selector" -}}
app.kubernetes.io/name: banyan
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{/* Labels of every object. Called with a dict of root and component. */}}
{{- define "banyan.labels" -}}
{{- $root := .root -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: banyan
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/component: {{ .component | default "operator" }}
app.kubernetes.io/part-of: banyan
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* An image's reference. Called with a dict of root and image. */}}
{{- define "banyan.image" -}}
{{- $name := .image.repository -}}
{{- with .root.Values.imageRegistry }}{{ $name = printf "%s/%s" (trimSuffix "/" .) $name }}{{ end -}}
{{- if .image.digest }}{{ printf "%s@%s" $name .image.digest }}{{ else }}{{ printf "%s:%s" $name (.image.tag | default .root.Chart.AppVersion) }}{{ end -}}
{{- end }}

{{- define "banyan.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default .Release.Name }}{{ else }}{{ required "serviceAccount.name must name an existing ServiceAccount when serviceAccount.create is false" .Values.serviceAccount.name }}{{ end -}}
{{- end }}

{{/* Name of objects that have no namespace: two releases of one name in two namespaces must not meet. */}}
{{- define "banyan.clusterName" -}}
{{ .Release.Namespace }}-{{ .Release.Name }}
{{- end }}

{{- define "banyan.leaseNamespace" -}}
{{ .Values.leaseNamespace | default .Values.watchNamespace | default "kube-system" }}
{{- end }}
