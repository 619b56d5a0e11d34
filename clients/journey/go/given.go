// What a traveller is given: the variables, the fixtures and the gates of the scripted model.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/anthropics/anthropic-sdk-go"
)

var model = anthropic.BetaManagedAgentsModelConfigParams{
	ID: anthropic.BetaManagedAgentsModelClaudeSonnet4_5,
}

type given struct {
	url, key string
	// A word that no other journey has.
	name string
	// The scripted model server.
	gates string
	// The helper's tools.
	tools   []anthropic.BetaAgentNewParamsToolUnion
	scripts map[string]string
}

// open reads the variables and the fixtures.
func open() (given, error) {
	var g given
	var fixtures string
	for name, place := range map[string]*string{
		"JOURNEY_URL":      &g.url,
		"JOURNEY_KEY":      &g.key,
		"JOURNEY_NAME":     &g.name,
		"JOURNEY_MODEL":    &g.gates,
		"JOURNEY_FIXTURES": &fixtures,
	} {
		if *place = os.Getenv(name); *place == "" {
			return g, fmt.Errorf("set %s; ../README.md says to what", name)
		}
	}
	if err := fixture(filepath.Join(fixtures, "tools.json"), &g.tools); err != nil {
		return g, err
	}
	return g, fixture(filepath.Join(fixtures, "scripts.json"), &g.scripts)
}

// fixture reads a file of JSON into a place.
func fixture(path string, place any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, place)
}

// script is the message that scripts the model so.
func (g *given) script(which string) anthropic.BetaManagedAgentsEventParamsUnion {
	return anthropic.BetaManagedAgentsEventParamsUnion{
		OfUserMessage: &anthropic.BetaManagedAgentsUserMessageEventParams{
			Type: anthropic.BetaManagedAgentsUserMessageEventParamsTypeUserMessage,
			Content: []anthropic.BetaManagedAgentsUserMessageEventParamsContentUnion{{
				OfText: textBlock(strings.ReplaceAll(g.scripts[which], "NAME", g.name)),
			}},
		},
	}
}

func textBlock(text string) *anthropic.BetaManagedAgentsTextBlockParam {
	return &anthropic.BetaManagedAgentsTextBlockParam{
		Type: anthropic.BetaManagedAgentsTextBlockTypeText,
		Text: text,
	}
}

// waiting returns once an answer of the model stands at this gate.
func (g *given) waiting(ctx context.Context, which string) error {
	return g.gate(ctx, http.MethodGet, "waiting/"+which)
}

// release opens this gate.
func (g *given) release(ctx context.Context, which string) error {
	return g.gate(ctx, http.MethodPost, "release/"+which)
}

func (g *given) gate(ctx context.Context, method, path string) error {
	request, err := http.NewRequestWithContext(ctx, method, g.gates+"/"+path+"-"+g.name, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the model server answers %s %s with %s", method, path, answer.Status)
	}
	return nil
}
