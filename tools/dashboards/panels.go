// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/tempo"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// The data sources are variables of each dashboard, so that dashboards can be imported into any Grafana.
var (
	metrics = common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("${prometheus}")}
	traces  = common.DataSourceRef{Type: cog.ToPtr("tempo"), Uid: cog.ToPtr("${tempo}")}
)

// start returns a dashboard whose variables are its data sources.
func start(uid, title, description string) *dashboard.DashboardBuilder {
	return dashboard.NewDashboardBuilder("crau-otel: "+title).
		Uid("crau-otel-"+uid).
		Description(description).
		Tags([]string{"crau-otel", "cryptography"}).
		Time("now-24h", "now").
		Refresh("1m").
		Readonly().
		WithVariable(dashboard.NewDatasourceVariableBuilder("prometheus").Label("Metrics").Type("prometheus")).
		WithVariable(dashboard.NewDatasourceVariableBuilder("tempo").Label("Traces").Type("tempo"))
}

// selection returns a variable whose values are the values of a label of a metric.
func selection(name, label, metric, key string) *dashboard.QueryVariableBuilder {
	return dashboard.NewQueryVariableBuilder(name).
		Label(label).
		Datasource(metrics).
		Query(dashboard.StringOrMap{String: cog.ToPtr("label_values(" + metric + ", " + key + ")")}).
		Refresh(dashboard.VariableRefreshOnTimeRangeChanged).
		Sort(dashboard.VariableSortAlphabeticalAsc).
		Multi(true).
		IncludeAll(true).
		AllValue(".*")
}

// size is a panel's size: its width, in 24ths of the dashboard's width, and its height.
type size struct{ width, height uint32 }

func query(expression, legend string) *prometheus.DataqueryBuilder {
	return prometheus.NewDataqueryBuilder().Datasource(metrics).Expr(expression).LegendFormat(legend)
}

// number returns a panel that shows one number, computed over the dashboard's time range.
func number(title, description, unit string, s size, expression string) *stat.PanelBuilder {
	return stat.NewPanelBuilder().
		Title(title).Description(description).Unit(unit).Height(s.height).Span(s.width).
		Datasource(metrics).WithTarget(query(expression, "").Instant()).
		GraphMode(common.BigValueGraphModeNone)
}

// graph returns a panel that shows queries over time. In queries, each query is followed by its legend.
func graph(title, description, unit string, s size, queries ...string) *timeseries.PanelBuilder {
	panel := timeseries.NewPanelBuilder().
		Title(title).Description(description).Unit(unit).Height(s.height).Span(s.width).
		Datasource(metrics).Min(0).FillOpacity(10)
	for i := 0; i+1 < len(queries); i += 2 {
		panel.WithTarget(query(queries[i], queries[i+1]).RefId(string(rune('A' + i/2))))
	}
	return panel
}

// shares returns a panel that shows queries over time, stacked to 100 percent.
func shares(title, description string, s size, queries ...string) *timeseries.PanelBuilder {
	return graph(title, description, "short", s, queries...).FillOpacity(60).
		Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModePercent))
}

// list returns a panel that shows one row per series, the largest value first.
func list(title, description string, s size, expression string) *table.PanelBuilder {
	return table.NewPanelBuilder().
		Title(title).Description(description).Height(s.height).Span(s.width).
		Datasource(metrics).
		WithTarget(query("sort_desc("+expression+")", "").Instant().Format(prometheus.PromQueryFormatTable)).
		WithTransformation(dashboard.DataTransformerConfig{
			Id: "organize", Options: map[string]any{
				"excludeByName": map[string]bool{"Time": true},
				"renameByName": map[string]string{
					"process_executable_name": "program", "host_name": "host", "tls_protocol_version": "version",
					"crypto_algorithm": "algorithm", "crypto_operation": "operation", "crypto_role": "role",
					"crypto_pqc_status": "status", "crypto_policy_rule": "rule", "Value": "uses",
				},
			},
		})
}

// found returns a panel that shows the traces that a TraceQL query finds.
func found(title, description string, s size, traceQL string) *table.PanelBuilder {
	return table.NewPanelBuilder().
		Title(title).Description(description).Height(s.height).Span(s.width).
		Datasource(traces).
		WithTarget(traceQuery(traceQL))
}

func traceQuery(traceQL string) cog.Builder[variants.Dataquery] {
	return tempo.NewDataqueryBuilder().Datasource(traces).QueryType("traceql").Query(traceQL).Limit(50).
		TableType(tempo.SearchTableTypeSpans)
}
