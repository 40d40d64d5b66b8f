// Package pipelines turns a YAML file into a running pipeline: YAML -> Spec -> checked Plan -> run. What a pipeline can
// be made of is told to it by a Registry that cmd fills; it knows no sink, no transform and no source by name.
package pipelines
