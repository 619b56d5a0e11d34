// What the agents of a journey are made of: their model, and the helper's tools.
package main

import "github.com/anthropics/anthropic-sdk-go"

var model = anthropic.BetaManagedAgentsModelConfigParams{
	ID: anthropic.BetaManagedAgentsModelClaudeSonnet4_5,
}

// The tools of ../tools.json. The SDK could read that file, but it would lose the config of `bash`: it tells
// configs apart by a `type`, which they need not have.
var tools = []anthropic.BetaAgentNewParamsToolUnion{
	{OfCustom: &anthropic.BetaManagedAgentsCustomToolParams{
		Type:        anthropic.BetaManagedAgentsCustomToolParamsTypeCustom,
		Name:        "look_up",
		Description: "Looks a word up.",
		InputSchema: anthropic.BetaManagedAgentsCustomToolInputSchemaParam{
			Properties: map[string]any{"word": map[string]any{"type": "string"}},
			Required:   []string{"word"},
		},
	}},
	{OfAgentToolset20260401: &anthropic.BetaManagedAgentsAgentToolset20260401Params{
		Type: anthropic.BetaManagedAgentsAgentToolset20260401ParamsTypeAgentToolset20260401,
		DefaultConfig: anthropic.BetaManagedAgentsAgentToolsetDefaultConfigParams{
			Enabled: anthropic.Bool(true),
			PermissionPolicy: anthropic.BetaManagedAgentsAgentToolsetDefaultConfigParamsPermissionPolicyUnion{
				OfAlwaysAllow: &anthropic.BetaManagedAgentsAlwaysAllowPolicyParam{
					Type: anthropic.BetaManagedAgentsAlwaysAllowPolicyTypeAlwaysAllow,
				},
			},
		},
		Configs: []anthropic.BetaManagedAgentsAgentToolConfigParamsUnion{
			{OfBash: &anthropic.BetaManagedAgentsBashToolConfigParams{
				PermissionPolicy: anthropic.BetaManagedAgentsBashToolConfigParamsPermissionPolicyUnion{
					OfAlwaysAsk: &anthropic.BetaManagedAgentsAlwaysAskPolicyParam{
						Type: anthropic.BetaManagedAgentsAlwaysAskPolicyTypeAlwaysAsk,
					},
				},
			}},
		},
	}},
}
